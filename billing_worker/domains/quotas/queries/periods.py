"""SQL of quotas and their periods: whoever changes a period has locked its quota's row first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.errors import QuotaNotFoundError
from billing_worker.domains.quotas.rules import Anchor, PeriodUse, QuotaMark, QuotaTerms
from billing_worker.domains.quotas.states import Enforcement, FailMode, PeriodStatus
from billing_worker.kernel.periods import Period, PeriodKind

TERMS = (
    "q.user_id, q.metric_type, q.period, q.limit_value, q.enforcement, q.rollover, q.anchor_at, q.anchor_months, "
    "q.fail_mode, q.alert_at_percent, q.settles, q.from_price_id"
)
_PERIOD = (
    "p.id AS period_id, p.quota_id, p.period AS period_kind, p.period_start, p.period_end, "
    "p.limit_value AS period_limit, p.rolled_over, p.used_value, p.spent_value, p.settled_value, p.credit_value, "
    "(SELECT coalesce(sum(l.units), 0) FROM billing.billing_quota_leases l "
    " WHERE l.quota_period_id = p.id AND l.returned_at IS NULL)::bigint + "
    "(SELECT coalesce(sum(r.units), 0) FROM billing.billing_quota_reservations r "
    " WHERE r.quota_period_id = p.id AND r.status = 'open')::bigint AS held, "
    "p.status, p.blocked_at, p.opened_at, p.closed_at, p.closed_by"
)
_JOINED = (
    f"SELECT {TERMS}, {_PERIOD} FROM billing.billing_quota_periods p "  # noqa: S608 - constants of this module
    "JOIN billing.billing_quotas q ON q.id = p.quota_id"
)


@dataclass(frozen=True, slots=True)
class QuotaPeriod:
    """One period of a quota as stored, with the quota's terms of today."""

    id: int
    quota_id: int
    terms: QuotaTerms
    kind: PeriodKind
    period: Period
    use: PeriodUse
    status: PeriodStatus
    blocked_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None


def _quota_period(row: RowMapping) -> QuotaPeriod:
    return QuotaPeriod(
        id=row["period_id"],
        quota_id=row["quota_id"],
        terms=terms_of(row),
        kind=PeriodKind(row["period_kind"]),
        period=Period(row["period_start"], row["period_end"]),
        use=PeriodUse(
            row["period_limit"],
            row["rolled_over"],
            row["used_value"],
            row["spent_value"],
            row["settled_value"],
            row["credit_value"],
            row["held"],
        ),
        status=PeriodStatus(row["status"]),
        blocked_at=row["blocked_at"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        closed_by=row["closed_by"],
    )


def terms_of(row: RowMapping) -> QuotaTerms:
    """Read the terms out of a row of `TERMS`."""
    return QuotaTerms(
        user_id=row["user_id"],
        metric_type=row["metric_type"],
        kind=PeriodKind(row["period"]),
        limit_value=row["limit_value"],
        enforcement=Enforcement(row["enforcement"]),
        rollover=row["rollover"],
        anchor=Anchor(row["anchor_at"], row["anchor_months"]) if row["anchor_at"] else None,
        fail_mode=FailMode(row["fail_mode"]),
        alert_at_percent=tuple(row["alert_at_percent"]),
        settles=row["settles"],
        from_price_id=row["from_price_id"],
    )


def _list_periods(session: Session, condition: str, **parameters: Any) -> list[QuotaPeriod]:  # noqa: ANN401 - SQL values
    rows = session.execute(text(f"{_JOINED} {condition}"), parameters).mappings()
    return [_quota_period(row) for row in rows]


def lock_quotas_of_user(session: Session, user_id: str, metric_type: str | None = None) -> list[int]:
    """Lock a user's quotas in order and return their ids."""
    statement = text(
        "SELECT id FROM billing.billing_quotas WHERE user_id = :user_id "
        "AND metric_type = coalesce(CAST(:metric_type AS text), metric_type) ORDER BY id FOR UPDATE"
    )
    return list(session.execute(statement, {"user_id": user_id, "metric_type": metric_type}).scalars())


def lock_touched_quotas(session: Session, marks: Sequence[QuotaMark]) -> list[int]:
    """Lock the quotas whose usage changed."""
    statement = text(
        "SELECT q.id FROM billing.billing_quotas q WHERE (q.user_id, q.metric_type) IN "
        "(SELECT * FROM unnest(CAST(:users AS text[]), CAST(:metrics AS text[]))) ORDER BY q.id FOR UPDATE"
    )
    users, metrics = [mark.user_id for mark in marks], [mark.metric_type for mark in marks]
    return list(session.execute(statement, {"users": users, "metrics": metrics}).scalars())


def claim_due_periods(session: Session, *, now: datetime, limit: int) -> list[QuotaPeriod]:
    """Lock the open periods that have ended, with their quotas; skip those that somebody else is at."""
    condition = (
        "WHERE p.status = 'open' AND p.period_end <= :now ORDER BY p.period_end, p.id LIMIT :limit "
        "FOR UPDATE OF q, p SKIP LOCKED"
    )
    return _list_periods(session, condition, now=now, limit=limit)


def list_open_periods(session: Session, quota_ids: Sequence[int]) -> list[QuotaPeriod]:
    """Return the open periods of some quotas."""
    condition = "WHERE p.status = 'open' AND p.quota_id = ANY(:quota_ids) ORDER BY p.id"
    return _list_periods(session, condition, quota_ids=list(quota_ids))


def list_touched_periods(session: Session, quota_ids: Sequence[int], marks: Sequence[QuotaMark]) -> list[QuotaPeriod]:
    """Return the periods that end after the first second of a change, closed ones too: late records belong to them."""
    condition = (
        "JOIN (SELECT user_id, metric_type, min(since) AS since FROM unnest(CAST(:users AS text[]), "
        "CAST(:metrics AS text[]), CAST(:sinces AS timestamptz[])) AS m (user_id, metric_type, since) GROUP BY 1, 2) m "
        "ON (m.user_id, m.metric_type) = (p.user_id, p.metric_type) AND p.period_end > m.since "
        "WHERE p.quota_id = ANY(:quota_ids) ORDER BY p.id"
    )
    return _list_periods(
        session,
        condition,
        quota_ids=list(quota_ids),
        users=[mark.user_id for mark in marks],
        metrics=[mark.metric_type for mark in marks],
        sinces=[mark.since for mark in marks],
    )


def list_closed_periods(session: Session, user_id: str, *, limit: int = 100) -> list[QuotaPeriod]:
    """Return a user's past periods of all metrics, newest first: one reset each."""
    condition = (
        "WHERE p.status = 'closed' AND p.user_id = :user_id ORDER BY p.period_start DESC, p.metric_type LIMIT :limit"
    )
    return _list_periods(session, condition, user_id=user_id, limit=limit)


def get_open_periods_of_user(session: Session, user_id: str, metric_type: str | None = None) -> list[QuotaPeriod]:
    """Return the open period of each of a user's quotas, or of the one of a metric.

    Raises: QuotaNotFoundError when there is none.
    """
    condition = (
        "WHERE p.status = 'open' AND p.user_id = :user_id "
        "AND p.metric_type = coalesce(CAST(:metric_type AS text), p.metric_type) ORDER BY p.metric_type"
    )
    found = _list_periods(session, condition, user_id=user_id, metric_type=metric_type)
    if not found:
        raise QuotaNotFoundError(user_id, metric_type)
    return found


def list_last_closed_periods(session: Session, user_id: str) -> list[QuotaPeriod]:
    """Return the newest closed period of each of a user's quotas."""
    condition = (
        "WHERE p.id IN (SELECT DISTINCT ON (c.quota_id) c.id FROM billing.billing_quota_periods c "
        "WHERE c.user_id = :user_id AND c.status = 'closed' ORDER BY c.quota_id, c.period_start DESC) "
        "ORDER BY p.metric_type"
    )
    return _list_periods(session, condition, user_id=user_id)


def find_last_end(session: Session, quota_id: int) -> datetime | None:
    """Return when the newest closed period of a quota ended."""
    statement = text("SELECT max(period_end) FROM billing.billing_quota_periods WHERE quota_id = :quota_id")
    found: datetime | None = session.execute(statement, {"quota_id": quota_id}).scalar_one()
    return found


def lock_quotas(session: Session, quota_ids: Sequence[int]) -> None:
    """Lock some quotas in order."""
    statement = text("SELECT id FROM billing.billing_quotas WHERE id = ANY(:ids) ORDER BY id FOR UPDATE")
    session.execute(statement, {"ids": list(quota_ids)})


def get_period(session: Session, period_id: int) -> QuotaPeriod:
    """Return a period, open or closed; the caller knows that it exists."""
    [found] = _list_periods(session, "WHERE p.id = :period_id", period_id=period_id)
    return found
