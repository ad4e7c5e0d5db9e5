"""Give a customer a tax id."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.customers.errors import CustomersError
from billing_worker.kernel.keys import object_key
from billing_worker.stripe_gateway.errors import StripeNotFound


def set_tax_id(door: ChangeDoor, customer_id: str, *, kind: str, value: str) -> Changed:
    """Give a customer a tax id, unless it has this very one.

    Idempotent by: type and value: Stripe itself would keep the same id twice.
    Raises: CustomersError when the customer has it already or does not exist; what make_change raises.
    """
    try:
        present = door.gateway.list_page(f"customers/{customer_id}/tax_ids").data
    except StripeNotFound as error:
        raise CustomersError(f"Stripe has no customer {customer_id}: {error}") from error
    if any((one["type"], one["value"]) == (kind, value) for one in present):
        raise CustomersError(f"{customer_id} has the tax id {kind} {value} already")
    change = Change(
        "customers.tax_ids.create",
        {"type": kind, "value": value},
        object_id=customer_id,
        about=object_key("", "customer", customer_id),
        customer_id=customer_id,
    )
    return make_change(door, change)
