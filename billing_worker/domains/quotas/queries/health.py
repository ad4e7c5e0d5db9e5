"""SQL of what should not be: leases that nobody settled or that were lost, users blocked beyond their period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

COUNT_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class LeaseHealth:
    """Leases that expired and still hold units, and leases that were counted whole because their count was lost."""

    stuck: int
    stuck_units: int
    oldest_expiry: datetime | None
    lost: int
    lost_units: int


def read_lease_health(session: Session, *, stuck_before: datetime, lost_since: datetime) -> LeaseHealth:
    """Read how leases end."""
    statement = text(
        "SELECT * FROM (SELECT count(*), coalesce(sum(units), 0)::bigint, min(expires_at) FROM (SELECT units, "
        "expires_at FROM billing.billing_quota_leases WHERE returned_at IS NULL AND expires_at <= :stuck_before "
        "ORDER BY expires_at LIMIT :limit) s) stuck, (SELECT count(*), coalesce(sum(units), 0)::bigint FROM (SELECT "
        "units FROM billing.billing_quota_leases WHERE ended_by = 'lost' AND returned_at >= :lost_since "
        "LIMIT :limit) l) lost"
    )
    parameters = {"stuck_before": stuck_before, "lost_since": lost_since, "limit": COUNT_LIMIT}
    return LeaseHealth(*session.execute(statement, parameters).one())


def list_wrongly_blocked(session: Session, *, ended_before: datetime, limit: int) -> list[str]:
    """Return users who are blocked though their period has ended, or though units are left."""
    statement = text(
        "SELECT DISTINCT user_id FROM (SELECT p.user_id FROM billing.billing_quota_periods p "
        "JOIN billing.billing_quotas q ON q.id = p.quota_id WHERE p.status = 'open' AND p.blocked_at IS NOT NULL AND "
        "(p.period_end <= :ended_before OR q.enforcement = 'soft' "
        " OR p.used_value - p.settled_value + p.spent_value < p.limit_value + p.rolled_over) "
        "ORDER BY p.period_end LIMIT :limit) b ORDER BY 1"
    )
    return list(session.execute(statement, {"ended_before": ended_before, "limit": limit}).scalars())
