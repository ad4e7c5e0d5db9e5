"""What a change in the middle of a period credits and charges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.amounts import part_of
from billing_worker.sandbox.engine.items import item_amount
from billing_worker.sandbox.engine.lines import counted_name, invoice_item, item_id_of, pricing_of, product_of
from billing_worker.sandbox.engine.reductions import put_discounts
from billing_worker.sandbox.engine.subscription_terms import is_flexible


def unused_time(session: Session, subscription: Document, item: Document, at: int, paid: int) -> list[Document]:
    """Give an item's unused time back.

    Units: counted in seconds, rounded to the nearest; `paid` is what the whole period costs now with discounts taken
    off, which a flexible subscription replaces by what was really charged.
    """
    start, end = item["current_period_start"], item["current_period_end"]
    credited = None
    if is_flexible(subscription):
        debit = _last_debit(session, subscription, item, at)
        if debit is None:
            return []
        paid, start, end, credited = debit.amount_minor, debit.start, debit.end, debit.reference
    amount = -part_of(paid, end - at, end - start)
    entry = _item(session, subscription, item, amount, at, end, "Unused time on")
    return [entry | {"_credited": credited}]


def remaining_time(session: Session, subscription: Document, item: Document, at: int, whole: int) -> Document:
    """Charge an item for what is left of its period; `whole` is what all of it costs, with discounts taken off."""
    start, end = item["current_period_start"], item["current_period_end"]
    amount = part_of(whole, end - at, end - start)
    return _item(session, subscription, item, amount, at, end, "Remaining time on")


def is_licensed(item: Document) -> bool:
    """Tell whether an item is charged ahead, and so can be prorated."""
    return bool(item["price"]["recurring"]["usage_type"] == "licensed")


def period_costs(session: Session, items: list[Document], discounts: list[Document]) -> dict[str, int]:
    """Compute what each item costs in a whole period, with these discounts taken off.

    Source: Stripe API reference, billing_mode.flexible.proration_discounts: classic prorations are net of discounts.
    """
    coupons = {discount["id"]: discount["_coupon"] for discount in discounts}
    lines: list[Document] = [
        {
            "id": item["id"],
            "amount": item_amount(session, item),
            "currency": item["price"]["currency"],
            "discountable": True,
            "discounts": [discount_id for discount_id in item["discounts"] if discount_id in coupons],
            "pricing": pricing_of(item["price"]),
        }
        for item in items
        if is_licensed(item)
    ]
    own = {discount_id for item in items for discount_id in item["discounts"]}
    shared = [discount_id for discount_id in coupons if discount_id not in own]
    put_discounts(coupons.__getitem__, shared, lines)
    return {entry["id"]: entry["amount"] - sum(off["amount"] for off in entry["discount_amounts"]) for entry in lines}


def check_proration_date(subscription: Document, at: int, now: int) -> None:
    """Refuse an instant outside the current period."""
    item = subscription["items"]["data"][0]
    if not item["current_period_start"] <= at <= item["current_period_end"]:
        raise invalid("Cannot specify a proration_date outside of the current billing period.", param="proration_date")
    if at > now and at > item["current_period_end"]:
        raise invalid("proration_date cannot be in the future.", param="proration_date")


@dataclass(frozen=True, slots=True)
class _Debit:
    amount_minor: int
    start: int
    end: int
    reference: Document | None


def _last_debit(session: Session, subscription: Document, item: Document, at: int) -> _Debit | None:
    # What was charged last for a time that is not over: changes on the way have credited what came before it.
    debits = [
        *_prorated_debits(session, subscription, item),
        *_invoiced_debits(session, subscription, item),
    ]
    covering = [debit for debit in debits if debit.start <= at < debit.end]
    return max(covering, key=lambda debit: debit.start, default=None)


def _prorated_debits(session: Session, subscription: Document, item: Document) -> Iterator[_Debit]:
    for waiting in session.peek("invoiceitem", "customer", subscription["customer"]):
        details = (waiting["parent"] or {}).get("subscription_details") or {}
        is_debit = waiting["proration"] and not waiting["description"].startswith("Unused")
        if is_debit and details.get("subscription_item") == item["id"]:
            period, reference = waiting["period"], _reference(session, waiting)
            yield _Debit(waiting["amount"], period["start"], period["end"], reference)


def _reference(session: Session, item: Document) -> Document | None:
    invoice = session.find("invoice", item["invoice"])
    if invoice is None:
        return None
    lines = [line["id"] for line in invoice["lines"]["data"] if item_id_of(line) == item["id"]]
    return {"invoice": invoice["id"], "invoice_line_items": lines}


def _invoiced_debits(session: Session, subscription: Document, item: Document) -> Iterator[_Debit]:
    invoices = session.peek("invoice", "parent.subscription_details.subscription", subscription["id"])
    for invoice in invoices:
        lines = [line for line in invoice["lines"]["data"] if _subscription_item_of(line) == item["id"]]
        for start, end in {(line["period"]["start"], line["period"]["end"]) for line in lines}:
            charged = [line for line in lines if (line["period"]["start"], line["period"]["end"]) == (start, end)]
            amount = sum(line["amount"] - sum(off["amount"] for off in line["discount_amounts"]) for line in charged)
            reference = {"invoice": invoice["id"], "invoice_line_items": [line["id"] for line in charged]}
            yield _Debit(amount, start, end, reference)


def _subscription_item_of(line: Document) -> str | None:
    # Prorations are looked up through their invoice items.
    details = (line["parent"] or {}).get("subscription_item_details") or {}
    found: str | None = None if details.get("proration") else details.get("subscription_item")
    return found


def _item(
    session: Session, subscription: Document, item: Document, amount: int, at: int, end: int, words: str
) -> Document:
    price, quantity = session.get("price", item["price"]["id"]), item["quantity"]
    product = product_of(session, price)
    counted = product["name"] if quantity == 1 else counted_name(quantity, product)
    return invoice_item(
        session,
        customer=subscription["customer"],
        amount_minor=amount,
        currency=price["currency"],
        date=at,
        description=f"{words} {counted} after {datetime.fromtimestamp(at, UTC):%d %b %Y}",
        discountable=False,
        parent={
            "type": "subscription_details",
            "subscription_details": {"subscription": subscription["id"], "subscription_item": item["id"]},
        },
        period={"start": at, "end": end},
        pricing=pricing_of(price),
        proration=True,
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=list(item["tax_rates"]),
    )
