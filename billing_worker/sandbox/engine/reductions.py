"""What discounts take off the lines of an invoice: first their own ones, then those of the whole invoice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import Session

_PERCENT = 100
CouponOf = Callable[[str], Document]
"""Gives the coupon, as redeemed, of a discount's id."""


def coupons_of(session: Session) -> CouponOf:
    """Look coupons up by the discounts that redeemed them."""

    def find(discount_id: str) -> Document:
        coupon: Document = session.get("discount", discount_id)["_coupon"]
        return coupon

    return find


def put_discounts(coupon_of: CouponOf, invoice_discounts: list[str], lines: list[Document]) -> list[Document]:
    """Take discounts off the lines, and add them up per discount.

    Order: a line's own discounts come before the invoice's; each takes its part of what those before it left.
    """
    left = {entry["id"]: entry["amount"] if entry["discountable"] else 0 for entry in lines}
    for entry in lines:
        entry["discount_amounts"] = []
        for discount_id in entry["discounts"]:
            _take(coupon_of(discount_id), discount_id, [entry], left)
    for discount_id in invoice_discounts:
        coupon = coupon_of(discount_id)
        _take(coupon, discount_id, [entry for entry in lines if is_eligible(coupon, product_of(entry))], left)
    for entry in lines:
        entry["pretax_credit_amounts"] = credits_of(entry["discount_amounts"])
    return sum_discounts(lines, invoice_discounts)


def own_discounts(lines: Iterable[Document]) -> int:
    """Add up what lines have off through discounts of their own."""
    return sum(
        taken["amount"]
        for entry in lines
        for taken in entry["discount_amounts"]
        if taken["discount"] in entry["discounts"]
    )


def credits_of(reductions: Iterable[Document]) -> list[Document]:
    """Show discounts as the credits before taxes that they are."""
    return [taken | {"type": "discount"} for taken in reductions]


def sum_discounts(lines: Iterable[Document], at_least: Iterable[str] = ()) -> list[Document]:
    """Add up what lines have off, per discount; those named are there even where they took nothing."""
    totals = dict.fromkeys(at_least, 0)
    for entry in lines:
        for taken in entry["discount_amounts"]:
            totals[taken["discount"]] = totals.get(taken["discount"], 0) + taken["amount"]
    return [{"amount": amount, "discount": discount_id} for discount_id, amount in totals.items()]


def share_out(amount: int, weights: list[int]) -> list[int]:
    """Split an amount by weights into whole parts that add up to it."""
    whole, seen, given, parts = sum(weights), 0, 0, []
    for weight in weights:
        seen += weight
        upto = _rounded(Decimal(amount) * seen / whole) if whole else 0
        parts.append(upto - given)
        given = upto
    return parts


def is_eligible(coupon: Document, product_id: str | None) -> bool:
    """Tell whether a coupon takes anything off a product."""
    products = coupon.get("_products")
    return not products or product_id in products


def product_of(entry: Document) -> str | None:
    """Tell which product a line is for."""
    details = (entry["pricing"] or {}).get("price_details") or {}
    product: str | None = details.get("product")
    return product


def amount_off(coupon: Document, base: int, currency: str) -> int:
    """Compute what a coupon takes off an amount, never more than all of it."""
    if base <= 0:
        return 0
    if coupon["percent_off"] is not None:
        return _rounded(base * Decimal(str(coupon["percent_off"])) / _PERCENT)
    return min(fixed_amount(coupon, currency) or 0, base)


def fixed_amount(coupon: Document, currency: str) -> int | None:
    """Give the fixed amount of a coupon in a currency; None where it has none."""
    if coupon["currency"] == currency:
        amount: int = coupon["amount_off"]
        return amount
    option = (coupon.get("_currency_options") or {}).get(currency)
    return None if option is None else int(option["amount_off"])


def _take(coupon: Document, discount_id: str, lines: list[Document], left: dict[str, int]) -> None:
    weights = [left[entry["id"]] for entry in lines]
    currency = lines[0]["currency"] if lines else ""
    for entry, part in zip(lines, share_out(amount_off(coupon, sum(weights), currency), weights), strict=True):
        left[entry["id"]] -= part
        if entry["discountable"]:
            entry["discount_amounts"].append({"amount": part, "discount": discount_id})


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
