"""What is stored of subscriptions and access."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from billing_worker.domains.subscriptions.handlers import CUSTOMER_ACCESS
from billing_worker.domains.subscriptions.models import CustomerAccess
from billing_worker.domains.subscriptions.rules import SubscriptionState
from billing_worker.domains.subscriptions.states import Access
from billing_worker.kernel.errors import NotFoundError
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


def get_access(session: Session, customer_id: str, account_id: str = "") -> CustomerAccess:
    """Return a customer's access; one who never had a subscription has none.

    Raises: NotFoundError.
    """
    row = session.get(CustomerAccess, (account_id, customer_id))
    if row is None:
        raise NotFoundError(f"{customer_id} never had a subscription, so there is nothing to use")
    return row


def count_access(session: Session) -> dict[Access, int]:
    """Count customers by access."""
    rows = session.execute(select(CustomerAccess.access, func.count()).group_by(CustomerAccess.access))
    return {access: count for access, count in rows}  # noqa: C416 - dict() of rows is untyped


def list_invoices_of(session: Session, subscription_id: str, *, limit: int = 100) -> list[dict[str, Any]]:
    """Return the snapshots of a subscription's mirrored invoices, newest first."""
    table = table_of("invoice")
    rows = session.execute(
        select(table.c.data)
        .where(table.c.account_id == "", table.c.subscription_id == subscription_id, table.c.deleted_at.is_(None))
        .order_by(table.c.invoiced_at.desc().nulls_last(), table.c.id)
        .limit(limit)
    )
    return [data for (data,) in rows]


@dataclass(frozen=True, slots=True)
class ListedSubscription:
    """One line of a list."""

    id: str
    customer_id: str | None
    status: str | None
    price_id: str | None
    quantity: int | None
    current_period_end: datetime | None
    cancel_at_period_end: bool | None
    trial_end: datetime | None
    livemode: bool | None


def list_subscriptions(
    session: Session, *, status: str | None = None, customer_id: str | None = None, limit: int = 50
) -> list[ListedSubscription]:
    """Return mirrored subscriptions, those whose period ends last first."""
    table = table_of("subscription")
    columns = [table.c[name] for name in ListedSubscription.__slots__ if name != "livemode"]
    query = select(*columns, table.c.data["livemode"].as_boolean().label("livemode")).where(
        table.c.deleted_at.is_(None)
    )
    if status is not None:
        query = query.where(table.c.status == status)
    if customer_id is not None:
        query = query.where(table.c.customer_id == customer_id)
    rows = session.execute(query.order_by(table.c.current_period_end.desc().nulls_last(), table.c.id).limit(limit))
    return [ListedSubscription(**row) for row in rows.mappings()]
