"""SQL of the quota periods that overage is computed from; whoever notes what is accounted has locked their quotas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from billing_worker.domains.overage.rules import compute_granted
from billing_worker.kernel.periods import Period

GRACE = timedelta(minutes=10)
"""Records on their way still arrive; Stripe leaves a renewal's draft open for about an hour."""

# The index of this predicate holds what is due and nothing else, so that asking every second costs nothing.
_DUE = """
FROM billing.billing_quota_periods p
WHERE p.status = 'closed' AND p.used_value > p.limit_value + p.rolled_over
AND (p.accounted_value IS NULL OR p.used_value > p.accounted_value)
AND p.period_end <= :now - CAST(:grace AS interval)
AND NOT EXISTS (SELECT FROM billing.billing_usage_batches b WHERE b.aggregated_at IS NULL
    AND b.first_at < p.period_end AND b.accepted_at <= p.period_end + CAST(:grace AS interval))
"""

_COLUMNS = (
    "p.id, p.quota_id, p.user_id, p.metric_type, p.period_start, p.period_end, "
    "p.limit_value, p.rolled_over, p.limit_seconds, p.used_value, "
    "coalesce(p.limit_since, p.period_start) AS limit_since"
)


@dataclass(frozen=True, slots=True)
class UsedPeriod:
    """A quota period as overage sees it: what it granted and what quotas measured."""

    id: int
    quota_id: int
    user_id: str
    metric_type: str
    period: Period
    granted: int
    used: int


def list_due_periods(session: Session, now: datetime, *, size: int) -> list[UsedPeriod]:
    """Return periods beyond their limit that ended a grace ago and whose use overage has not looked at.

    Shape: what was accepted until the grace was over has to be aggregated; what came later is late, and waiting for it
    would never end where late records never end.
    """
    statement = f"SELECT {_COLUMNS} {_DUE} ORDER BY p.period_end, p.id LIMIT :size"
    return _read(session, statement, now=now, grace=GRACE, size=size)


def count_due_periods(session: Session, now: datetime) -> int:
    """Count such periods, one at most."""
    statement = text(f"SELECT count(*) FROM (SELECT 1 {_DUE} LIMIT 1) due")  # noqa: S608 - constants
    return int(session.execute(statement, {"now": now, "grace": GRACE}).scalar_one())


def list_periods(session: Session, period_ids: Sequence[int]) -> list[UsedPeriod]:
    """Return some periods in their order."""
    statement = f"SELECT {_COLUMNS} FROM billing.billing_quota_periods p WHERE p.id = ANY(:ids) ORDER BY p.id"  # noqa: S608 - constants
    return _read(session, statement, ids=list(period_ids))


def list_open_periods(session: Session, user_id: str) -> list[UsedPeriod]:
    """Return a user's open periods: what overage they would have if they ended with what is used by now."""
    statement = (
        f"SELECT {_COLUMNS} FROM billing.billing_quota_periods p "  # noqa: S608 - constants
        "WHERE p.user_id = :user_id AND p.status = 'open' ORDER BY p.metric_type, p.id"
    )
    return _read(session, statement, user_id=user_id)


def note_accounted(session: Session, accounted: Sequence[tuple[int, int]]) -> None:
    """Note for periods up to which use they are accounted for; what quotas measured is, in any case."""
    statement = text(
        "UPDATE billing.billing_quota_periods p SET accounted_value = greatest(p.used_value, a.used) "
        "FROM unnest(CAST(:ids AS bigint[]), CAST(:uses AS bigint[])) AS a (id, used) WHERE p.id = a.id"
    )
    session.execute(statement, {"ids": [one for one, _ in accounted], "uses": [used for _, used in accounted]})


def _read(session: Session, statement: str, **parameters: object) -> list[UsedPeriod]:
    return [
        UsedPeriod(
            row["id"],
            row["quota_id"],
            row["user_id"],
            row["metric_type"],
            Period(row["period_start"], row["period_end"]),
            _granted(row),
            row["used_value"],
        )
        for row in session.execute(text(statement), parameters).mappings()
    ]


def _granted(row: RowMapping) -> int:
    period = Period(row["period_start"], row["period_end"])
    granted = compute_granted(
        row["limit_value"],
        limit_seconds=int(row["limit_seconds"]),
        # A limit may have been set within the period's first or last second, and the parts are whole seconds.
        held_seconds=max(0, int((period.end - row["limit_since"]).total_seconds())),
        period_seconds=max(1, int((period.end - period.start).total_seconds())),
    )
    return granted + int(row["rolled_over"])
