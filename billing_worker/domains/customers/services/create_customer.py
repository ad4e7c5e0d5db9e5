"""Create a customer at Stripe, for a user or for nobody yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.customers.errors import UserTakenError
from billing_worker.domains.customers.queries.links import find_link_of_user, is_deleted
from billing_worker.domains.customers.services.link_customer import link_customer
from billing_worker.kernel.keys import object_key


def create_customer(door: ChangeDoor, *, fields: Mapping[str, Any], user_id: str | None, created_by: str) -> Changed:
    """Create a customer and link it with its user.

    Phases: the change; the link, commit. Killed in between, the link follows from the customer's metadata.
    Idempotent by: the user: two creations for one user are one.
    Raises: UserTakenError; what make_change raises.
    """
    if user_id is None:
        return make_change(door, Change("customers.create", fields))
    with door.unit_of_work.transaction() as session:
        link = find_link_of_user(session, user_id)
        if link is not None and not is_deleted(session, link.customer_id):
            raise UserTakenError(
                f"user {user_id} is {link.customer_id} already: `nself billing customer show {link.customer_id}`"
            )
    metadata = {**(fields.get("metadata") or {}), "user_id": user_id}
    change = Change("customers.create", {**fields, "metadata": metadata}, about=object_key("", "user", user_id))
    made = make_change(door, change)
    if made.stripe_id is not None and not made.is_planned:
        with door.unit_of_work.transaction() as session:
            now = door.unit_of_work.now()
            link_customer(session, customer_id=made.stripe_id, user_id=user_id, linked_by=created_by, now=now)
    return made
