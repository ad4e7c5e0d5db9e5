"""Invoice lines and invoice items: one shape for what is charged and why."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.prices import price_amount, usage_quantity


def pricing_of(price: Document) -> Document:
    """Describe a price the way lines and invoice items do."""
    return {
        "type": "price_details",
        "price_details": {"price": price["id"], "product": price["product"]},
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def line(*, amount_minor: int, currency: str, description: str, period: tuple[int, int], **given: Any) -> Document:  # noqa: ANN401 - JSON values
    """Make one line of an invoice."""
    return {
        "id": new_id("line_item"),
        "object": "line_item",
        "amount": amount_minor,
        "currency": currency,
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": None,
        "subtotal": amount_minor,
        "taxes": [],
    } | given


def item_line(session: Session, subscription: Document, item: Document, period: tuple[int, int]) -> Document:
    """Charge one subscription item for a period: ahead for seats, in arrears for usage."""
    price = session.get("price", item["price"]["id"])
    is_metered = price["recurring"]["usage_type"] == "metered"
    quantity = usage_quantity(session, subscription["customer"], price, period) if is_metered else item["quantity"]
    name = (session.find("product", price["product"]) or {}).get("name", price["product"])
    unit = f"{(price['unit_amount'] or 0) / 100:.2f}"
    return line(
        amount_minor=price_amount(price, quantity),
        currency=price["currency"],
        description=f"{quantity} × {name} (at {unit} / {price['recurring']['interval']})",  # noqa: RUF001 - as at Stripe
        period=period,
        parent=_parent(subscription["id"], item["id"], is_proration=False),
        pricing=pricing_of(price),
        quantity=quantity,
        quantity_decimal=str(quantity),
        subscription=subscription["id"],
        metadata=dict(item["metadata"]),
    )


def trial_line(session: Session, subscription: Document, item: Document, period: tuple[int, int]) -> Document:
    """Show a trial period as a line that costs nothing."""
    price = item["price"]
    name = (session.find("product", price["product"]) or {}).get("name", price["product"])
    return line(
        amount_minor=0,
        currency=price["currency"],
        description=f"Trial period for {name}",
        period=period,
        parent=_parent(subscription["id"], item["id"], is_proration=False),
        pricing=pricing_of(price) | {"unit_amount_decimal": "0"},
        quantity=item.get("quantity", 1),
        subscription=subscription["id"],
    )


def line_from_item(item: Document) -> Document:
    """Turn an invoice item into a line of its invoice."""
    details = (item["parent"] or {}).get("subscription_details") or {}
    return line(
        amount_minor=item["amount"],
        currency=item["currency"],
        description=item["description"],
        period=(item["period"]["start"], item["period"]["end"]),
        parent={
            "type": "invoice_item_details",
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": item["proration"],
                "proration_details": {"credited_items": None},
                "subscription": details.get("subscription"),
            },
            "subscription_item_details": None,
        },
        pricing=item["pricing"],
        quantity=item["quantity"],
        quantity_decimal=str(item["quantity"]),
        subscription=details.get("subscription"),
        metadata=dict(item["metadata"]),
        discountable=item["discountable"],
    )


def invoice_item(session: Session, *, customer: str, amount_minor: int, currency: str, **given: Any) -> Document:  # noqa: ANN401 - JSON values
    """Make an invoice item, not yet added."""
    return {
        "id": new_id("invoiceitem"),
        "object": "invoiceitem",
        "amount": amount_minor,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "date": session.now,
        "description": None,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "net_amount": amount_minor,
        "parent": None,
        "period": {"start": session.now, "end": session.now},
        "pricing": None,
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": None,
    } | given


def _parent(subscription_id: str, item_id: str, *, is_proration: bool) -> Document:
    return {
        "type": "subscription_item_details",
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": is_proration,
            "proration_details": {"credited_items": None},
            "subscription": subscription_id,
            "subscription_item": item_id,
        },
    }
