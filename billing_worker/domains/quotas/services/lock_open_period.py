"""Find the period that a grant counts in."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries import periods as queries
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.queries.reservations import expire_reservations
from billing_worker.domains.quotas.services.advance_periods import advance_periods
from billing_worker.domains.usage.rules import MetricCatalog

CLOSED_BY_JOB = "quota_reset"


def lock_open_period(
    session: Session,
    user_id: str,
    metric_type: str,
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> QuotaPeriod | None:
    """Lock a user's quota and return its open period; one that has ended is reset first. None without a quota.

    Locks: the quota's row, which guards its periods, leases and reservations; what is read after it is current.
    """
    quotas = queries.lock_quotas_of_user(session, user_id, metric_type)
    if not quotas:
        return None
    expire_reservations(session, quotas, now=now)
    opened = queries.list_open_periods(session, quotas)
    due = [one for one in opened if one.period.end <= now]
    if due:
        advance_periods(session, due, metrics=metrics, zone=zone, enforcing=enforcing, closed_by=CLOSED_BY_JOB, now=now)
        opened = queries.list_open_periods(session, quotas)
    return opened[0] if opened else None
