"""Attach a payment method to a customer."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.kernel.keys import object_key


def attach_payment_method(
    door: ChangeDoor, *, payment_method_id: str, customer_id: str, as_default: bool = False
) -> Changed:
    """Attach a payment method, and make it what the customer's invoices are paid with when told.

    The name of a test card such as pm_card_visa makes a new payment method of that card.
    Phases: the attachment, then the default: two changes, each once; killed in between, the command completes it.
    Raises: what make_change raises.
    """
    change = Change(
        "payment_methods.attach",
        {"customer": customer_id},
        object_id=payment_method_id,
        about=f"{object_key('', 'customer', customer_id)}/{payment_method_id}",
        customer_id=customer_id,
    )
    attached = make_change(door, change)
    if as_default and not attached.is_planned:
        default = {"invoice_settings": {"default_payment_method": attached.stripe_id}}
        make_change(door, Change("customers.update", default, object_id=customer_id, customer_id=customer_id))
    return attached
