"""Create a customer at Stripe, for a user or for nobody yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.queries import list_ended
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.customers.errors import UserTakenError
from billing_worker.domains.customers.queries.links import find_link_of_user, is_deleted
from billing_worker.domains.customers.services.link_customer import link_customer
from billing_worker.effects.intents import IntentStatus
from billing_worker.kernel.keys import object_key


def create_customer(door: ChangeDoor, *, fields: Mapping[str, Any], user_id: str | None, created_by: str) -> Changed:
    """Create a customer and link it with its user.

    Phases: the change; the link, commit. Killed in between, the link follows from the customer's metadata.
    Idempotent by: the user: two creations for one user are one.
    Raises: UserTakenError; what make_change raises.
    """
    if user_id is None:
        return make_change(door, Change("customers.create", fields))
    metadata = {**(fields.get("metadata") or {}), "user_id": user_id}
    change = Change("customers.create", {**fields, "metadata": metadata}, about=object_key("", "user", user_id))
    made = make_change(door, change, guard=lambda session: _require_no_customer(session, change, user_id))
    if made.stripe_id is not None and not made.is_planned:
        with door.unit_of_work.transaction() as session:
            now = door.unit_of_work.now()
            link_customer(session, customer_id=made.stripe_id, user_id=user_id, linked_by=created_by, now=now)
    return made


def _require_no_customer(session: Session, change: Change, user_id: str) -> None:
    """Look at the links and at creations whose link is still to be written."""
    link = find_link_of_user(session, user_id)
    made = [intent.stripe_id for intent in list_ended(session, change) if intent.status is IntentStatus.SUCCEEDED]
    for customer_id in [*([link.customer_id] if link else []), *made]:
        if customer_id is not None and not is_deleted(session, customer_id):
            show = f"nself billing customer show {customer_id}"
            raise UserTakenError(f"user {user_id} is {customer_id} already: `{show}`")
