"""Compute a user's rollups anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, hold_lock
from billing_worker.domains.usage.errors import ArchivedUsageError
from billing_worker.domains.usage.queries import archives, corrections, reports
from billing_worker.domains.usage.rules import MetricCatalog, buckets_by_level, whole_buckets
from billing_worker.domains.usage.services.compare_usage import compare_usage
from billing_worker.domains.usage.states import ROLLUPS, Formula, Level
from billing_worker.kernel.periods import Period

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recalculated:
    """What a recalculation found and wrote; `differing_days` were wrong before it."""

    span: Period
    differing_days: int
    buckets_before: int
    buckets: int


def recalculate_usage(
    session: Session,
    *,
    user_id: str,
    metric: str | None,
    period: Period,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    now: datetime,
) -> Recalculated:
    """Replace every bucket that touches a span by what the raw records say, and have quotas and meters look again.

    Shape: whole months are computed, so that all three rollups are right.
    Locks: aggregation waits until the commit.
    Raises: ArchivedUsageError where raw records were archived: they have to be restored first.
    """
    hold_lock(session, LockClass.USAGE_AGGREGATION, 0)
    whole = whole_buckets(Level.MONTHLY, period, zone)
    if (gone := archives.find_archived(session, whole)) is not None:
        raise ArchivedUsageError(gone.month_start, gone.location)
    days = compare_usage(session, user_id=user_id, span=whole, metrics=metrics, zone=zone)
    differing = sum(day.differs for day in days if metric in {None, day.metric_type})
    slots = reports.list_used_slots(session, user_id=user_id, span=whole)
    buckets = buckets_by_level(slots, zone)
    before = after = 0
    for level in ROLLUPS:
        before += corrections.delete_rollups(session, level, user_id=user_id, metric=metric, period=whole)
        after += corrections.rebuild_rollups(
            session,
            level,
            buckets[level],
            user_id=user_id,
            metric=metric,
            period=whole,
            last_metrics=metrics.of_formula(Formula.LAST),
            unique_metrics=metrics.of_formula(Formula.UNIQUE),
            now=now,
        )
    corrections.mark_user(session, user_id=user_id, period=whole, metered_metrics=metrics.metered(), now=now)
    _log.info("usage_recalculated", user=user_id, metric=metric, buckets=after, differing_days=differing)
    return Recalculated(whole, differing, before, after)
