"""SQL of coming and past resets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class NextReset:
    """When the next open period ends, how many end then, and how many are overdue."""

    at: datetime | None
    quotas: int
    overdue: int


def count_due_resets(session: Session, now: datetime, *, limit: int) -> int:
    """Count open periods that have ended, up to a limit."""
    statement = text(
        "SELECT count(*) FROM (SELECT 1 FROM billing.billing_quota_periods "
        "WHERE status = 'open' AND period_end <= :now LIMIT :limit) AS due"
    )
    return int(session.execute(statement, {"now": now, "limit": limit}).scalar_one())


def get_next_reset(session: Session, now: datetime) -> NextReset:
    """Tell the first reset that is to come."""
    statement = text(
        "WITH coming AS (SELECT period_end, count(*) AS quotas FROM billing.billing_quota_periods "
        "    WHERE status = 'open' AND period_end > :now GROUP BY 1 ORDER BY 1 LIMIT 1) "
        "SELECT (SELECT period_end FROM coming), coalesce((SELECT quotas FROM coming), 0), "
        "(SELECT count(*) FROM billing.billing_quota_periods WHERE status = 'open' AND period_end <= :now)"
    )
    return NextReset(*session.execute(statement, {"now": now}).one())
