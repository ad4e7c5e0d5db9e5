"""Note which user a customer is."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.customers.errors import CustomerTakenError, UserTakenError
from billing_worker.domains.customers.models import CustomerUser
from billing_worker.domains.customers.queries.links import find_link_of_user, find_user_of, is_deleted


def link_customer(
    session: Session, *, customer_id: str, user_id: str, linked_by: str, now: datetime, account_id: str = ""
) -> bool:
    """Link a customer with a user and say whether that is new; a deleted customer gives its user free.

    Locks: the user's link. Raises: UserTakenError, CustomerTakenError.
    """
    present = find_link_of_user(session, user_id, account_id, locked=True)
    if present is not None and present.customer_id == customer_id:
        return False
    taken = find_user_of(session, customer_id, account_id)
    if taken is not None:
        raise CustomerTakenError(f"{customer_id} belongs to user {taken.user_id} already")
    if present is not None:
        if not is_deleted(session, present.customer_id, account_id):
            raise UserTakenError(
                f"user {user_id} is {present.customer_id} already: `nself billing customer show {present.customer_id}`"
            )
        session.delete(present)
        session.flush()
    session.add(
        CustomerUser(
            account_id=account_id, customer_id=customer_id, user_id=user_id, linked_at=now, linked_by=linked_by
        )
    )
    session.flush()
    return True
