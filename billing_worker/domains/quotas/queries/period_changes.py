"""SQL that changes quotas and their periods; the caller has locked the quotas' rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.copy import copy_rows
from billing_worker.domains.quotas.rules import PeriodUse, QuotaTerms
from billing_worker.domains.quotas.settlement import Ledger
from billing_worker.domains.quotas.states import PeriodStatus
from billing_worker.kernel.periods import Period

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


@dataclass(frozen=True, slots=True)
class NewPeriod:
    """A period to insert: open, or already closed when it began and ended while nobody looked."""

    quota_id: int
    terms: QuotaTerms
    period: Period
    use: PeriodUse
    blocked: bool
    closed_by: str | None


def save_quota(session: Session, terms: QuotaTerms, *, set_by: str, now: datetime) -> int:
    """Insert or change a user's quota of a metric, which locks it, and return its id."""
    statement = text(
        "INSERT INTO billing.billing_quotas (user_id, metric_type, period, limit_value, enforcement, rollover, "
        "anchor_at, anchor_months, fail_mode, alert_at_percent, settles, from_price_id, set_at, set_by) "
        "VALUES (:user_id, :metric_type, :period, :limit_value, :enforcement, :rollover, :anchor_at, :anchor_months, "
        ":fail_mode, CAST(:alert_at_percent AS smallint[]), :settles, :from_price_id, :now, :set_by) "
        "ON CONFLICT (user_id, price_id, metric_type) DO UPDATE SET period = EXCLUDED.period, "
        "limit_value = EXCLUDED.limit_value, enforcement = EXCLUDED.enforcement, rollover = EXCLUDED.rollover, "
        "anchor_at = EXCLUDED.anchor_at, anchor_months = EXCLUDED.anchor_months, fail_mode = EXCLUDED.fail_mode, "
        "alert_at_percent = EXCLUDED.alert_at_percent, settles = EXCLUDED.settles, "
        "from_price_id = EXCLUDED.from_price_id, set_at = EXCLUDED.set_at, set_by = EXCLUDED.set_by RETURNING id"
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
        "fail_mode": terms.fail_mode.value,
        "alert_at_percent": sorted(terms.alert_at_percent),
        "settles": terms.settles,
        "from_price_id": terms.from_price_id,
        "now": now,
        "set_by": set_by,
    }
    return int(session.execute(statement, parameters).scalar_one())


def update_uses(session: Session, uses: Sequence[tuple[int, Ledger, bool]], *, now: datetime) -> None:
    """Write ledger and block of periods, given as (id, ledger, blocked); an older block keeps its time."""
    statement = text(
        "UPDATE billing.billing_quota_periods p SET used_value = n.used, spent_value = n.spent, "
        "settled_value = n.settled, credit_value = n.credit, "
        "blocked_at = CASE WHEN n.blocked THEN coalesce(p.blocked_at, :now) END "
        "FROM unnest(CAST(:ids AS bigint[]), CAST(:used AS bigint[]), CAST(:spent AS bigint[]), "
        "CAST(:settled AS bigint[]), CAST(:credit AS bigint[]), CAST(:blocked AS boolean[])) "
        "AS n (id, used, spent, settled, credit, blocked) WHERE p.id = n.id"
    )
    ledgers = [ledger for _, ledger, _ in uses]
    parameters = {
        "ids": [period_id for period_id, _, _ in uses],
        "used": [ledger.used for ledger in ledgers],
        "spent": [ledger.spent for ledger in ledgers],
        "settled": [ledger.settled for ledger in ledgers],
        "credit": [ledger.credit for ledger in ledgers],
        "blocked": [blocked for _, _, blocked in uses],
        "now": now,
    }
    session.execute(statement, parameters)


def change_limit(session: Session, period_id: int, limit_value: int, *, now: datetime) -> None:
    """Give a period another limit, and keep for how long the one before held."""
    statement = text(
        "UPDATE billing.billing_quota_periods SET limit_value = :limit_value, limit_since = :now, "
        "limit_seconds = limit_seconds + limit_value::numeric * greatest(0, ceil(extract(epoch FROM "
        "CAST(:now AS timestamptz) - coalesce(limit_since, period_start)))) "
        "WHERE id = :id AND limit_value <> :limit_value"
    )
    session.execute(statement, {"id": period_id, "limit_value": limit_value, "now": now})


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


def close_periods(session: Session, closed: Sequence[tuple[int, datetime]], *, closed_by: str, now: datetime) -> None:
    """Close periods, given as (id, end); what was used of them was written before."""
    statement = text(
        "UPDATE billing.billing_quota_periods p SET status = 'closed', period_end = n.period_end, closed_at = :now, "
        "closed_by = :closed_by FROM unnest(CAST(:ids AS bigint[]), CAST(:ends AS timestamptz[])) "
        "AS n (id, period_end) WHERE p.id = n.id"
    )
    ids, ends = ([one[column] for one in closed] for column in range(2))
    session.execute(statement, {"ids": ids, "ends": ends, "closed_by": closed_by, "now": now})


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
