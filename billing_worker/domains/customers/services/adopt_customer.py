"""Take a customer that exists at Stripe over for a user."""

from __future__ import annotations

from billing_worker.changes.change import Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.import_object import import_object
from billing_worker.domains.customers.errors import CustomersError
from billing_worker.domains.customers.services.link_customer import link_customer


def adopt_customer(door: ChangeDoor, *, customer_id: str, user_id: str, linked_by: str) -> Changed:
    """Import a customer of Stripe and link it with a user; nothing changes at Stripe.

    Phases: import; link, commit. Idempotent by: customer and user.
    Raises: CustomersError for a deleted customer, UserTakenError, CustomerTakenError; what import_object raises.
    """
    imported = import_object(door, "customer", customer_id)
    if imported.data.get("deleted"):
        raise CustomersError(f"{customer_id} was deleted at Stripe: create a new one for user {user_id}")
    if not imported.is_planned:
        with door.unit_of_work.transaction() as session:
            now = door.unit_of_work.now()
            link_customer(session, customer_id=customer_id, user_id=user_id, linked_by=linked_by, now=now)
    return imported
