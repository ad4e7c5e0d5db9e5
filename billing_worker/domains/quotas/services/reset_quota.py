"""Reset a user's quotas before their time."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.errors import QuotaNotFoundError
from billing_worker.domains.quotas.queries import periods as queries
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.services.advance_periods import advance_periods
from billing_worker.domains.quotas.services.check_zone import check_zone
from billing_worker.domains.quotas.services.cut_period import cut_period
from billing_worker.domains.quotas.services.refresh_periods import refresh_periods
from billing_worker.domains.usage.rules import MetricCatalog

CLOSED_BY_OPERATOR = "operator"

_log = structlog.get_logger(__name__)


def reset_quota(
    session: Session,
    *,
    user_id: str,
    metric_type: str | None = None,
    closed_by: str = CLOSED_BY_OPERATOR,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> list[QuotaPeriod]:
    """Close the open periods of a user now, open new ones from now to the regular end, and return those.

    Shape: used starts at nothing and a block ends, unless the limit itself is zero; what had rolled over stays.
    Locks: the user's quotas in order.
    Raises: QuotaNotFoundError, OtherZoneError.
    """
    check_zone(session, zone)
    quotas = queries.lock_quotas_of_user(session, user_id, metric_type)
    if not quotas:
        raise QuotaNotFoundError(user_id, metric_type)
    due = [one for one in queries.list_open_periods(session, quotas) if one.period.end <= now]
    advance_periods(session, due, metrics=metrics, zone=zone, enforcing=enforcing, closed_by=closed_by, now=now)
    for current in queries.list_open_periods(session, quotas):
        cut_period(
            session,
            current,
            terms=current.terms,
            end=current.period.end,
            rolled_over=current.use.rolled_over,
            closed_by=closed_by,
            metrics=metrics,
            zone=zone,
            now=now,
        )
    opened = queries.list_open_periods(session, quotas)
    refresh_periods(session, opened, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
    _log.info("quota_reset", user_id=user_id, closed=len(opened), closed_by=closed_by)
    return queries.list_open_periods(session, quotas)
