"""Coupons and promotion codes redeemed: the discounts that customers, subscriptions and invoices hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing_worker.kernel.periods import add_months
from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.reductions import fixed_amount


@dataclass(frozen=True, slots=True)
class Redeemer:
    """Who redeems, and for what.

    Units: `subtotal_minor` is what the discount is to be taken off, None where that is not known yet.
    """

    customer: str | None
    subscription: str | None = None
    subscription_item: str | None = None
    invoice: str | None = None
    invoice_item: str | None = None
    checkout_session: str | None = None
    currency: str | None = None
    subtotal_minor: int | None = None


def new_discounts(session: Session, given: Any, redeemer: Redeemer, param: str = "discounts") -> list[str]:  # noqa: ANN401 - a list, or an empty string to clear it
    """Turn `discounts[]` parameters into discount objects, and give their ids.

    Raises: ApiError for a coupon or a promotion code that is missing or cannot be redeemed.
    """
    found = [
        _new_discount(session, entry, redeemer, f"{param}[{index}]")
        for index, entry in enumerate(given or [])
        if entry != ""
    ]
    coupons = [session.get("discount", discount_id)["source"]["coupon"] for discount_id in found]
    if len(set(coupons)) < len(coupons):
        raise invalid("You cannot apply the same coupon more than once.", param=param)
    return found


def redeem(
    session: Session,
    coupon_id: str,
    redeemer: Redeemer,
    *,
    code: str | None = None,
    event: str | None = "customer.discount.created",
    param: str = "coupon",
) -> Document:
    """Redeem a coupon, and tell of the discount.

    Raises: ApiError for a coupon that is missing, expired, used up or of another currency.
    """
    coupon = session.get("coupon", coupon_id, param=param)
    if coupon["redeem_by"] is not None and coupon["redeem_by"] <= session.now:
        raise invalid(f"Coupon expired: {coupon_id}", param=param, code="coupon_expired")
    if not coupon["valid"]:
        raise invalid(f"Coupon {coupon_id} is used up and cannot be applied.", param=param, code="coupon_expired")
    currency = redeemer.currency
    if coupon["amount_off"] is not None and currency is not None and fixed_amount(coupon, currency) is None:
        raise invalid(
            f"The coupon's currency ({coupon['currency']}) does not match the currency it is applied to ({currency}).",
            param=param,
        )
    coupon["times_redeemed"] += 1
    coupon["valid"] = coupon["times_redeemed"] != coupon["max_redemptions"]
    limits = {name: coupon[name] for name in ("_products", "_currency_options") if coupon.get(name)}
    return session.add(
        {
            "id": new_id("discount"),
            "object": "discount",
            "checkout_session": redeemer.checkout_session,
            "customer": redeemer.customer,
            "customer_account": None,
            "end": _end(coupon, session.now),
            "invoice": redeemer.invoice,
            "invoice_item": redeemer.invoice_item,
            "promotion_code": code,
            "source": {"coupon": coupon["id"], "type": "coupon"},
            "start": session.now,
            "subscription": redeemer.subscription,
            "subscription_item": redeemer.subscription_item,
            "_coupon": public(coupon) | limits,
            "_is_used": False,
        },
        event,
    )


def set_customer_discount(session: Session, customer: Document, coupon_id: str) -> None:
    """Give a customer a discount on everything, in place of the one held so far; an empty coupon takes it away."""
    if not coupon_id:
        drop_customer_discount(session, customer)
        return
    before = customer["discount"]
    discount = redeem(session, coupon_id, Redeemer(customer["id"]), event=None)
    customer["discount"] = public(discount)
    if before is None:
        session.tell("customer.discount.created", discount)
    else:
        session.tell_difference("customer.discount.updated", before, customer["discount"])


def drop_customer_discount(session: Session, customer: Document) -> None:
    """Take a customer's discount away."""
    discount, customer["discount"] = customer["discount"], None
    if discount is not None:
        session.tell("customer.discount.deleted", discount | {"end": session.now})


def drop_discounts(session: Session, discount_ids: list[str]) -> None:
    """Tell that discounts are over."""
    for discount_id in discount_ids:
        discount = session.get("discount", discount_id)
        discount["end"] = discount["end"] or session.now
        session.tell("customer.discount.deleted", discount)


def discounts_of(session: Session, customer: Document) -> list[str]:
    """Give what is taken off an invoice that names no discounts: the customer's own, while it applies."""
    discount = customer["discount"]
    return [] if discount is None else still_applying(session, [discount["id"]])


def still_applying(session: Session, discount_ids: list[str]) -> list[str]:
    """Keep the discounts that the next invoice still gets: a `once` one until an invoice has had it."""
    return [discount_id for discount_id in discount_ids if applies(session.get("discount", discount_id), session.now)]


def applies(discount: Document, at: int) -> bool:
    """Tell whether a discount still takes something off at an instant."""
    if discount["_coupon"]["duration"] == "once":
        return not discount["_is_used"]
    return discount["end"] is None or at < discount["end"]


def mark_used(session: Session, taken: list[Document]) -> None:
    """Note which discounts took something off: `once` means the first invoice on which it does."""
    for entry in taken:
        if entry["amount"]:
            session.get("discount", entry["discount"])["_is_used"] = True


def _new_discount(session: Session, given: Document, redeemer: Redeemer, param: str) -> str:
    if "discount" in given:
        return str(session.get("discount", given["discount"], param=f"{param}[discount]")["id"])
    if "promotion_code" in given:
        promotion = _redeem_code(session, given["promotion_code"], redeemer, f"{param}[promotion_code]")
        coupon_id = promotion["promotion"]["coupon"]
        return str(redeem(session, coupon_id, redeemer, code=promotion["id"], param=param)["id"])
    if "coupon" not in given:
        raise invalid("Each discount names a coupon, a promotion_code or a discount.", param=param)
    return str(redeem(session, given["coupon"], redeemer, param=f"{param}[coupon]")["id"])


def _redeem_code(session: Session, code_id: str, redeemer: Redeemer, param: str) -> Document:
    promotion = session.get("promotion_code", code_id, param=param)
    refusal = _refusal(session, promotion, redeemer)
    if refusal is not None:
        raise invalid(refusal, param=param)
    promotion["times_redeemed"] += 1
    if promotion["times_redeemed"] == promotion["max_redemptions"]:
        promotion["active"] = False
    return promotion


def _refusal(session: Session, promotion: Document, redeemer: Redeemer) -> str | None:
    limits, refused = promotion["restrictions"], "This promotion code cannot be redeemed because"
    is_over = promotion["expires_at"] is not None and promotion["expires_at"] <= session.now
    checks = (
        (is_over, "This promotion code has expired."),
        (not promotion["active"], f"Promotion code {promotion['id']} is inactive and cannot be redeemed."),
        (promotion["customer"] not in {None, redeemer.customer}, f"{refused} it belongs to another customer."),
        (
            limits["first_time_transaction"] and _has_paid_before(session, redeemer.customer),
            f"{refused} the associated customer has prior transactions.",
        ),
    )
    return next((message for is_refused, message in checks if is_refused), _below_minimum(limits, redeemer))


def _below_minimum(limits: Document, redeemer: Redeemer) -> str | None:
    minimum, currency = _minimum(limits, redeemer.currency)
    if minimum is None or redeemer.subtotal_minor is None:
        return None
    if redeemer.currency == currency and redeemer.subtotal_minor >= minimum:
        return None
    return f"This promotion code cannot be redeemed because the amount is below its minimum of {minimum} {currency}."


def _minimum(limits: Document, currency: str | None) -> tuple[int | None, str | None]:
    option = (limits.get("currency_options") or {}).get(currency or "")
    if option is not None:
        return option["minimum_amount"], currency
    return limits["minimum_amount"], limits["minimum_amount_currency"]


def _has_paid_before(session: Session, customer_id: str | None) -> bool:
    if customer_id is None:
        return False
    invoices = session.peek("invoice", "customer", customer_id)
    charges = session.peek("charge", "customer", customer_id)
    return any(invoice["status"] == "paid" for invoice in invoices) or any(charge["paid"] for charge in charges)


def _end(coupon: Document, start: int) -> int | None:
    if coupon["duration"] != "repeating":
        return None
    return int(add_months(datetime.fromtimestamp(start, UTC), coupon["duration_in_months"]).timestamp())
