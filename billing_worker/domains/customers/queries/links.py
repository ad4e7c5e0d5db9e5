"""Which customer is which user."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing_worker.domains.customers.errors import UnknownUserError
from billing_worker.domains.customers.handlers import CUSTOMER_USER
from billing_worker.domains.customers.models import CustomerUser
from billing_worker.mirror.tables import table_of

_CLAIM_MARKED = text(
    """
    WITH taken AS (
        SELECT id FROM billing.billing_dirty_marks WHERE kind = :kind ORDER BY id LIMIT :size FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM billing.billing_dirty_marks m USING taken WHERE m.id = taken.id RETURNING m.account_id, m.subject_id
    )
    SELECT DISTINCT g.account_id, g.subject_id, c.user_id FROM gone g
    LEFT JOIN billing.billing_customers c
        ON c.account_id = g.account_id AND c.id = g.subject_id AND c.deleted_at IS NULL
    ORDER BY g.account_id, g.subject_id
    """
)


def find_user_of(session: Session, customer_id: str, account_id: str = "") -> CustomerUser | None:
    """Return the link of a customer."""
    return session.get(CustomerUser, (account_id, customer_id))


def find_link_of_user(
    session: Session, user_id: str, account_id: str = "", *, locked: bool = False
) -> CustomerUser | None:
    """Return the link of a user."""
    query = select(CustomerUser).where(CustomerUser.account_id == account_id, CustomerUser.user_id == user_id)
    return session.scalars(query.with_for_update() if locked else query).one_or_none()


def is_deleted(session: Session, customer_id: str, account_id: str = "") -> bool:
    """Say whether the mirror knows that a customer is gone at Stripe."""
    table = table_of("customer")
    query = select(table.c.deleted_at).where(table.c.account_id == account_id, table.c.id == customer_id)
    return session.scalar(query) is not None


def claim_marked_customers(session: Session, *, size: int) -> list[tuple[str, str, str | None]]:
    """Take marks away and return (account, customer, user that its metadata still name)."""
    rows = session.execute(_CLAIM_MARKED, {"kind": CUSTOMER_USER, "size": size})
    return [(account_id, customer_id, user_id) for account_id, customer_id, user_id in rows]


def count_marked_customers(session: Session, _now: datetime) -> int:
    """Count waiting marks, at most a hundred."""
    statement = text(
        "SELECT count(*) FROM (SELECT 1 FROM billing.billing_dirty_marks WHERE kind = :kind LIMIT 100) waiting"
    )
    return int(session.execute(statement, {"kind": CUSTOMER_USER}).scalar_one())


def get_customer_of(session: Session, user_id: str) -> str:
    """Return the customer that a user is.

    Raises: UnknownUserError.
    """
    link = find_link_of_user(session, user_id)
    if link is None:
        raise UnknownUserError(
            f"no customer belongs to user {user_id}: `nself billing customer create --user {user_id} --email …` makes "
            f"one, `nself billing customer link --customer cus_… --user {user_id}` connects an existing one"
        )
    return link.customer_id
