"""Add a line to a draft invoice."""

from __future__ import annotations

from typing import Any

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.import_object import import_object
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.invoices.lines import check_draft
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.kernel.keys import object_key


def add_item(
    door: ChangeDoor,
    invoice_id: str,
    *,
    price_id: str | None = None,
    quantity: int | None = None,
    amount_minor: int | None = None,
    description: str | None = None,
) -> Changed:
    """Add a price times a quantity, or an amount, to a draft, and return the draft as it is then.

    Shape: a recurring price is billed once, at its amount and for its product: Stripe takes only one-time prices here.
    Units: `amount_minor` in the invoice's currency; a negative one is a credit.
    Raises: InvalidValueError; RefusedError for an invoice that is no draft; what make_change raises.
    """
    if (price_id is None) == (amount_minor is None):
        raise InvalidValueError(
            "a line has a price or an amount: give --price price_123 --quantity 1, "
            'or --description "Minimum charge" --amount 50'
        )
    if amount_minor is not None and quantity is not None:
        raise InvalidValueError("--quantity goes with --price; an amount is the whole line")
    invoice = door.gateway.retrieve("invoice", invoice_id).data
    check_draft(invoice, wish="new lines")
    body: dict[str, Any] = {
        "customer": invoice["customer"],
        "invoice": invoice_id,
        "description": description,
        "amount": amount_minor,
        "currency": invoice["currency"] if amount_minor is not None else None,
    }
    if price_id is not None:
        body |= {**_priced(door.gateway.retrieve("price", price_id).data), "quantity": quantity or 1}
    key = object_key("", "invoice", invoice_id)
    added = make_change(door, Change("invoiceitems.create", body, about=key, customer_id=invoice["customer"]))
    return added if added.is_planned else import_object(door, "invoice", invoice_id)


def _priced(price: dict[str, Any]) -> dict[str, Any]:
    if price.get("type") == "one_time":
        return {"pricing": {"price": price["id"]}}
    if price.get("unit_amount_decimal") is None:
        raise InvalidValueError(
            f"price {price['id']} has tiers and is recurring, a line cannot take it: "
            'write what it comes to, --description "…" --amount MINOR'
        )
    product = price["product"]
    return {
        "price_data": {
            "currency": price["currency"],
            "product": product["id"] if isinstance(product, dict) else product,
            "unit_amount_decimal": price["unit_amount_decimal"],
        }
    }
