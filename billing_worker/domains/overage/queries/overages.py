"""SQL of overage rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Select, cast, func, select
from sqlalchemy.orm import Session

from billing_worker.domains.overage.models import Overage
from billing_worker.domains.overage.states import OPEN, OverageStatus


def lock_rows(session: Session, period_ids: Sequence[int]) -> dict[int, list[Overage]]:
    """Lock the rows of quota periods, each period's oldest first."""
    rows: dict[int, list[Overage]] = {period_id: [] for period_id in period_ids}
    query = select(Overage).where(Overage.quota_period_id.in_(period_ids)).order_by(Overage.id)
    for row in session.scalars(query.with_for_update().execution_options(populate_existing=True)):
        rows[row.quota_period_id].append(row)
    return rows


def list_overages(
    session: Session, user_id: str, *, metric_type: str | None = None, limit: int = 1000
) -> Sequence[Overage]:
    """Return a user's rows, the newest period first, each period's rows in their order."""
    query = select(Overage).where(Overage.user_id == user_id)
    if metric_type is not None:
        query = query.where(Overage.metric_type == metric_type)
    order = (Overage.period_start.desc(), Overage.metric_type, Overage.id)
    return session.scalars(query.order_by(*order).limit(limit)).all()


def count_due_rows(session: Session, now: datetime) -> int:
    """Count rows that are to be billed or being billed, a hundred at most."""
    due = _due(now).with_only_columns(Overage.id).limit(100).subquery()
    return session.scalar(select(func.count()).select_from(due)) or 0


def find_due_computed(session: Session, now: datetime) -> Overage | None:
    """Return the oldest computed row that nobody has decided about."""
    query = _due(now).where(Overage.status == OverageStatus.COMPUTED)
    return session.scalars(query.order_by(Overage.next_attempt_at, Overage.id).limit(1)).one_or_none()


def lock_open_rows(session: Session, account_id: str, customer_id: str | None, currency: str) -> Sequence[Overage]:
    """Lock everything of a customer in one currency that was not sent to Stripe yet."""
    query = select(Overage).where(
        Overage.account_id == account_id,
        Overage.customer_id == customer_id,
        Overage.currency == currency,
        Overage.status.in_(OPEN),
    )
    locked = query.order_by(Overage.id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(locked).all()


def claim_billing(session: Session, now: datetime) -> Overage | None:
    """Lock one row whose item is due to be made, or to be asked about."""
    query = _due(now).where(Overage.status == OverageStatus.BILLING).order_by(Overage.next_attempt_at, Overage.id)
    return session.scalars(query.limit(1).with_for_update(skip_locked=True)).one_or_none()


def lock_row(session: Session, row_id: int) -> Overage:
    """Lock one row."""
    query = select(Overage).where(Overage.id == row_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


def postpone_due(session: Session, now: datetime, until: datetime) -> int:
    """Put everything that is due off, and count it."""
    rows = session.scalars(_due(now).order_by(Overage.id).with_for_update(skip_locked=True)).all()
    for row in rows:
        row.next_attempt_at = until
    return len(rows)


def find_packed_price(session: Session, source: str) -> dict[str, Any] | None:
    """Return a price as a row keeps it; what Stripe's prices cost never changes."""
    query = select(Overage.price).where(Overage.price["source"].astext == source).order_by(Overage.id.desc())
    return session.scalars(query.limit(1)).one_or_none()


@dataclass(frozen=True, slots=True)
class PeriodTotal:
    """What all rows of one period add up to."""

    user_id: str
    currency: str
    units: int
    amount_minor: int


def list_totals(session: Session, metric_type: str, *, user_id: str | None) -> list[PeriodTotal]:
    """Return what each past period of a metric came to, user by user."""
    query = (
        select(
            Overage.user_id,
            func.max(Overage.currency),
            cast(func.sum(Overage.units), BigInteger),
            cast(func.sum(Overage.amount_minor), BigInteger),
        )
        .where(Overage.metric_type == metric_type)
        .group_by(Overage.user_id, Overage.quota_period_id)
        .order_by(Overage.user_id, Overage.quota_period_id)
    )
    if user_id is not None:
        query = query.where(Overage.user_id == user_id)
    return [PeriodTotal(*row) for row in session.execute(query)]


def _due(now: datetime) -> Select[Overage]:
    return select(Overage).where(
        Overage.status.in_((OverageStatus.COMPUTED, OverageStatus.BILLING)), Overage.next_attempt_at <= now
    )
