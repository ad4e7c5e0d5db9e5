"""Give a customer a tax id."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.queries import is_under_way
from billing_worker.changes.services.import_object import import_object
from billing_worker.changes.services.make_change import make_change
from billing_worker.kernel.keys import object_key


def set_tax_id(door: ChangeDoor, customer_id: str, *, kind: str, value: str) -> Changed:
    """Give a customer a tax id; one that Stripe has already is only brought into the mirror.

    Idempotent by: type and value: Stripe itself would keep the same id twice.
    Raises: what make_change raises; StripeNotFound for an unknown customer.
    """
    change = Change(
        "customers.tax_ids.create",
        {"type": kind, "value": value},
        object_id=customer_id,
        about=object_key("", "customer", customer_id),
        customer_id=customer_id,
    )
    with door.unit_of_work.transaction() as session:
        was_begun = is_under_way(session, change)
    if not was_begun:
        for present in door.gateway.list_page(f"customers/{customer_id}/tax_ids").data:
            if (present["type"], present["value"]) == (kind, value):
                return import_object(door, "tax_id", present["id"])
    return make_change(door, change)
