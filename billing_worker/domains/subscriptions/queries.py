"""What is stored of subscriptions and access."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from billing_worker.domains.subscriptions.handlers import CUSTOMER_ACCESS
from billing_worker.domains.subscriptions.models import CustomerAccess
from billing_worker.domains.subscriptions.rules import SubscriptionState
from billing_worker.domains.subscriptions.states import Access
from billing_worker.mirror.tables import table_of

_CLAIM_MARKS = text(
    """
    WITH subjects AS (
        SELECT account_id, subject_id FROM billing.billing_dirty_marks
        WHERE kind = :kind GROUP BY account_id, subject_id ORDER BY account_id, subject_id LIMIT :size
    ), taken AS (
        SELECT m.id, m.account_id, m.subject_id FROM billing.billing_dirty_marks m
        JOIN subjects s USING (account_id, subject_id) WHERE m.kind = :kind FOR UPDATE OF m SKIP LOCKED
    ), gone AS (
        DELETE FROM billing.billing_dirty_marks m USING taken WHERE m.id = taken.id
        RETURNING m.account_id, m.subject_id
    )
    SELECT DISTINCT account_id, subject_id FROM gone ORDER BY account_id, subject_id
    """
)


def claim_marked_customers(session: Session, *, size: int) -> list[tuple[str, str]]:
    """Take marks away and return the (account, customer) pairs they were about."""
    rows = session.execute(_CLAIM_MARKS, {"kind": CUSTOMER_ACCESS, "size": size})
    return [(account_id, customer_id) for account_id, customer_id in rows]


def count_marked_customers(session: Session, _now: datetime) -> int:
    """Count waiting marks, at most a hundred."""
    statement = text(
        "SELECT count(*) FROM (SELECT 1 FROM billing.billing_dirty_marks WHERE kind = :kind LIMIT 100) waiting"
    )
    return int(session.execute(statement, {"kind": CUSTOMER_ACCESS}).scalar_one())


def list_subscriptions_of(
    session: Session, account_id: str, customer_ids: Sequence[str]
) -> dict[str, list[SubscriptionState]]:
    """Return the mirrored subscriptions by customer."""
    table = table_of("subscription")
    rows = session.execute(
        select(table.c.customer_id, table.c.id, table.c.status, table.c.price_id).where(
            table.c.account_id == account_id, table.c.customer_id.in_(customer_ids), table.c.deleted_at.is_(None)
        )
    )
    found: dict[str, list[SubscriptionState]] = {customer_id: [] for customer_id in customer_ids}
    for customer_id, subscription_id, status, price_id in rows:
        found[customer_id].append(SubscriptionState(subscription_id, status, price_id))
    return found


def lock_access(
    session: Session, account_id: str, customer_ids: Sequence[str], now: datetime
) -> dict[str, CustomerAccess]:
    """Lock the customers' access rows, made where absent, in key order."""
    session.execute(
        text(
            "INSERT INTO billing.billing_customer_access (account_id, customer_id, access, computed_at) "
            "SELECT :account_id, customer_id, 'none', :now FROM unnest(CAST(:ids AS text[])) AS c (customer_id) "
            "ORDER BY customer_id ON CONFLICT DO NOTHING"
        ),
        {"account_id": account_id, "ids": sorted(customer_ids), "now": now},
    )
    query = (
        select(CustomerAccess)
        .where(CustomerAccess.account_id == account_id, CustomerAccess.customer_id.in_(customer_ids))
        .order_by(CustomerAccess.customer_id)
        .with_for_update()
    )
    return {row.customer_id: row for row in session.scalars(query)}


def count_access(session: Session) -> dict[Access, int]:
    """Count customers by access."""
    rows = session.execute(select(CustomerAccess.access, func.count()).group_by(CustomerAccess.access))
    return {access: count for access, count in rows}  # noqa: C416 - dict() of rows is untyped
