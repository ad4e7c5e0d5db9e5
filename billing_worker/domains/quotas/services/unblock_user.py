"""Let a user go on who is blocked without need."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.errors import QuotaNotFoundError, StillUsedUpError
from billing_worker.domains.quotas.queries import periods as queries
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.services.advance_periods import advance_periods
from billing_worker.domains.quotas.services.check_zone import check_zone
from billing_worker.domains.quotas.services.refresh_periods import refresh_periods
from billing_worker.domains.usage.rules import MetricCatalog


def unblock_user(
    session: Session,
    user_id: str,
    *,
    metric_type: str | None = None,
    closed_by: str,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> list[QuotaPeriod]:
    """Measure a user's quotas anew, reset those whose period is over, and release whoever has units left.

    Raises: QuotaNotFoundError, OtherZoneError; StillUsedUpError when a limit is used up: a release would not last.
    """
    check_zone(session, zone)
    quotas = queries.lock_quotas_of_user(session, user_id, metric_type)
    if not quotas:
        raise QuotaNotFoundError(user_id, metric_type)
    due = [one for one in queries.list_open_periods(session, quotas) if one.period.end <= now]
    advance_periods(session, due, metrics=metrics, zone=zone, enforcing=enforcing, closed_by=closed_by, now=now)
    refresh_periods(
        session,
        queries.list_open_periods(session, quotas),
        metrics=metrics,
        zone=zone,
        enforcing=enforcing,
        now=now,
    )
    opened = queries.list_open_periods(session, quotas)
    for one in opened:
        if one.blocked_at is not None:
            raise StillUsedUpError(user_id, one.terms.metric_type, one.use.taken, one.use.granted)
    return opened
