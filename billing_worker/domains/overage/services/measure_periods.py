"""Measure what the records of quota periods say now."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.overage.queries.periods import UsedPeriod
from billing_worker.domains.quotas.rules import LIMIT_MAX
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan
from billing_worker.domains.usage.services.measure_usage import measure_usage


def measure_periods(
    session: Session, periods: Sequence[UsedPeriod], *, metrics: MetricCatalog, zone: ZoneInfo
) -> list[int]:
    """Return the use of each period, exactly and up to the largest number a quota counts."""
    spans = [UsageSpan(one.user_id, one.metric_type, one.period) for one in periods]
    return [min(one.value, LIMIT_MAX) for one in measure_usage(session, spans, metrics=metrics, zone=zone)]
