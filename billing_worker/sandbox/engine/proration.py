"""What a change in the middle of a period credits and charges."""

from __future__ import annotations

from datetime import UTC, datetime

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.lines import invoice_item, pricing_of
from billing_worker.sandbox.engine.prices import price_amount


def proration_items(
    session: Session, subscription: Document, old: Document | None, new: Document | None, at: int
) -> list[Document]:
    """Give the invoice items of one item's change: the unused time back, the remaining time charged.

    Units: each amount is the whole part of its exact fraction, counted in seconds (STRIPE.md, “Limits”).
    """
    items = []
    for item, sign in ((old, -1), (new, 1)):
        if item is not None and item["price"]["recurring"]["usage_type"] == "licensed":
            items.append(_proration(session, subscription, item, sign, old or item, at))
    return items


def check_proration_date(subscription: Document, at: int, now: int) -> None:
    """Refuse an instant outside the current period."""
    item = subscription["items"]["data"][0]
    if not item["current_period_start"] <= at <= item["current_period_end"]:
        raise invalid("Cannot specify a proration_date outside of the current billing period.", param="proration_date")
    if at > now and at > item["current_period_end"]:
        raise invalid("proration_date cannot be in the future.", param="proration_date")


def _proration(
    session: Session, subscription: Document, item: Document, sign: int, period_of: Document, at: int
) -> Document:
    price = session.get("price", item["price"]["id"])
    start, end = period_of["current_period_start"], period_of["current_period_end"]
    quantity = item["quantity"]
    amount = sign * (price_amount(price, quantity) * (end - at) // (end - start))
    name = (session.find("product", price["product"]) or {}).get("name", price["product"])
    counted = name if quantity == 1 else f"{quantity} × {name}"  # noqa: RUF001 - as at Stripe
    day = datetime.fromtimestamp(at, UTC)
    words = "Unused time on" if sign < 0 else "Remaining time on"
    return invoice_item(
        session,
        customer=subscription["customer"],
        amount_minor=amount,
        currency=price["currency"],
        date=at,
        description=f"{words} {counted} after {day.day} {day:%b %Y}",
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
    )
