"""Create a draft invoice at Stripe."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.kernel.keys import object_key


def create_invoice(
    door: ChangeDoor,
    customer_id: str,
    *,
    subscription_id: str | None = None,
    description: str | None = None,
    days_until_due: int | None = None,
    takes_pending_items: bool = True,
    automatic_tax: bool = False,
) -> Changed:
    """Create a draft with the customer's pending items; nothing is collected until it is finalised.

    Units: `days_until_due` makes an invoice that is sent and paid within so many days; without it, it is charged.
    Raises: what make_change raises.
    """
    body = {
        "customer": customer_id,
        "subscription": subscription_id,
        "description": description,
        "auto_advance": False,
        "pending_invoice_items_behavior": "include" if takes_pending_items else "exclude",
        "collection_method": "charge_automatically" if days_until_due is None else "send_invoice",
        "days_until_due": days_until_due,
        "automatic_tax": {"enabled": True} if automatic_tax else None,
    }
    customer = object_key("", "customer", customer_id)
    return make_change(door, Change("invoices.create", body, about=customer, customer_id=customer_id))
