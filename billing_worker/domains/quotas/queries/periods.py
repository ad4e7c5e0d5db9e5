"""SQL of quotas and their periods: whoever changes a period has locked its quota's row first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from billing_worker.database.copy import copy_rows
from billing_worker.domains.quotas.errors import QuotaNotFoundError
from billing_worker.domains.quotas.rules import Anchor, PeriodUse, QuotaMark, QuotaTerms
from billing_worker.domains.quotas.states import Enforcement, PeriodStatus
from billing_worker.kernel.periods import Period, PeriodKind

_TERMS = "q.user_id, q.metric_type, q.period, q.limit_value, q.enforcement, q.rollover, q.anchor_at, q.anchor_months"
_PERIOD = (
    "p.id AS period_id, p.quota_id, p.period AS period_kind, p.period_start, p.period_end, "
    "p.limit_value AS period_limit, p.rolled_over, p.used_value, p.status, p.blocked_at, p.opened_at, p.closed_at, "
    "p.closed_by"
)
_PERIOD_COLUMNS = (
    "quota_id",
    "user_id",
    "metric_type",
    "period",
    "period_start",
    "period_end",
    "limit_value",
    "rolled_over",
    "used_value",
    "status",
    "blocked_at",
    "opened_at",
    "closed_at",
    "closed_by",
)
_JOINED = (
    f"SELECT {_TERMS}, {_PERIOD} FROM billing.billing_quota_periods p "  # noqa: S608 - constants of this module
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


@dataclass(frozen=True, slots=True)
class NewPeriod:
    """A period to insert: open, or already closed when it began and ended while nobody looked."""

    quota_id: int
    terms: QuotaTerms
    period: Period
    use: PeriodUse
    blocked: bool
    closed_by: str | None


def _quota_period(row: RowMapping) -> QuotaPeriod:
    return QuotaPeriod(
        id=row["period_id"],
        quota_id=row["quota_id"],
        terms=_terms(row),
        kind=PeriodKind(row["period_kind"]),
        period=Period(row["period_start"], row["period_end"]),
        use=PeriodUse(row["period_limit"], row["rolled_over"], row["used_value"]),
        status=PeriodStatus(row["status"]),
        blocked_at=row["blocked_at"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        closed_by=row["closed_by"],
    )


def _terms(row: RowMapping) -> QuotaTerms:
    return QuotaTerms(
        user_id=row["user_id"],
        metric_type=row["metric_type"],
        kind=PeriodKind(row["period"]),
        limit_value=row["limit_value"],
        enforcement=Enforcement(row["enforcement"]),
        rollover=row["rollover"],
        anchor=Anchor(row["anchor_at"], row["anchor_months"]) if row["anchor_at"] else None,
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


def save_quota(session: Session, terms: QuotaTerms, *, set_by: str, now: datetime) -> int:
    """Insert or change a user's quota of a metric, which locks it, and return its id."""
    statement = text(
        "INSERT INTO billing.billing_quotas (user_id, metric_type, period, limit_value, enforcement, rollover, "
        "anchor_at, anchor_months, set_at, set_by) VALUES (:user_id, :metric_type, :period, :limit_value, "
        ":enforcement, :rollover, :anchor_at, :anchor_months, :now, :set_by) "
        "ON CONFLICT (user_id, price_id, metric_type) DO UPDATE SET period = EXCLUDED.period, "
        "limit_value = EXCLUDED.limit_value, enforcement = EXCLUDED.enforcement, rollover = EXCLUDED.rollover, "
        "anchor_at = EXCLUDED.anchor_at, anchor_months = EXCLUDED.anchor_months, set_at = EXCLUDED.set_at, "
        "set_by = EXCLUDED.set_by RETURNING id"
    )
    parameters = {
        "user_id": terms.user_id,
        "metric_type": terms.metric_type,
        "period": terms.kind.value,
        "limit_value": terms.limit_value,
        "enforcement": terms.enforcement.value,
        "rollover": terms.rollover,
        "anchor_at": terms.anchor.at if terms.anchor else None,
        "anchor_months": terms.anchor.months if terms.anchor else 1,
        "now": now,
        "set_by": set_by,
    }
    return int(session.execute(statement, parameters).scalar_one())


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


def update_uses(session: Session, uses: Sequence[tuple[int, int, bool]], *, now: datetime) -> None:
    """Write used value and block of periods, given as (id, used value, blocked); an older block keeps its time."""
    statement = text(
        "UPDATE billing.billing_quota_periods p SET used_value = n.used_value, "
        "blocked_at = CASE WHEN n.blocked THEN coalesce(p.blocked_at, :now) END "
        "FROM unnest(CAST(:ids AS bigint[]), CAST(:used AS bigint[]), CAST(:blocked AS boolean[])) "
        "AS n (id, used_value, blocked) WHERE p.id = n.id"
    )
    ids, used, blocked = ([use[column] for use in uses] for column in range(3))
    session.execute(statement, {"ids": ids, "used": used, "blocked": blocked, "now": now})


def change_limit(session: Session, period_id: int, limit_value: int) -> None:
    """Give a period another limit."""
    statement = text("UPDATE billing.billing_quota_periods SET limit_value = :limit_value WHERE id = :id")
    session.execute(statement, {"id": period_id, "limit_value": limit_value})


def change_open_period(session: Session, period_id: int, *, terms: QuotaTerms, end: datetime, rolled_over: int) -> None:
    """Give a period that has only just begun other terms."""
    statement = text(
        "UPDATE billing.billing_quota_periods SET period = :period, period_end = :period_end, "
        "limit_value = :limit_value, rolled_over = :rolled_over WHERE id = :id"
    )
    parameters = {
        "id": period_id,
        "period": terms.kind.value,
        "period_end": end,
        "limit_value": terms.limit_value,
        "rolled_over": rolled_over,
    }
    session.execute(statement, parameters)


def close_periods(
    session: Session, closed: Sequence[tuple[int, datetime, int]], *, closed_by: str, now: datetime
) -> None:
    """Close periods, given as (id, end, used value)."""
    statement = text(
        "UPDATE billing.billing_quota_periods p SET status = 'closed', period_end = n.period_end, "
        "used_value = n.used_value, closed_at = :now, closed_by = :closed_by "
        "FROM unnest(CAST(:ids AS bigint[]), CAST(:ends AS timestamptz[]), CAST(:used AS bigint[])) "
        "AS n (id, period_end, used_value) WHERE p.id = n.id"
    )
    ids, ends, used = ([one[column] for one in closed] for column in range(3))
    session.execute(statement, {"ids": ids, "ends": ends, "used": used, "closed_by": closed_by, "now": now})


def insert_periods(session: Session, periods: Sequence[NewPeriod], *, now: datetime) -> None:
    """Insert periods; one that exists already is an error, because each period comes once."""
    rows = [
        (
            new.quota_id,
            new.terms.user_id,
            new.terms.metric_type,
            new.terms.kind.value,
            new.period.start,
            new.period.end,
            new.use.limit_value,
            new.use.rolled_over,
            new.use.used_value,
            (PeriodStatus.CLOSED if new.closed_by else PeriodStatus.OPEN).value,
            now if new.blocked else None,
            now,
            now if new.closed_by else None,
            new.closed_by,
        )
        for new in periods
    ]
    copy_rows(session, "billing_quota_periods", _PERIOD_COLUMNS, rows)
