"""Show how a user's usage ran over a span."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan
from billing_worker.domains.usage.services.measure_usage import measure_usage
from billing_worker.kernel.periods import Period, PeriodKind, period_containing

HOURS_UP_TO = timedelta(days=2)
DAYS_UP_TO = timedelta(days=100)


def show_timeline(
    session: Session, *, user_id: str, metric_type: str, period: Period, metrics: MetricCatalog, zone: ZoneInfo
) -> list[tuple[datetime, int]]:
    """Measure a span hour by hour, day by day or month by month, by its length."""
    length = period.end - period.start
    kind = PeriodKind.HOUR if length <= HOURS_UP_TO else PeriodKind.DAY if length <= DAYS_UP_TO else PeriodKind.MONTH
    spans = [UsageSpan(user_id, metric_type, step) for step in _steps(kind, period, zone)]
    measured = measure_usage(session, spans, metrics=metrics, zone=zone)
    return [(span.period.start, one.value) for span, one in zip(spans, measured, strict=True)]


def _steps(kind: PeriodKind, period: Period, zone: ZoneInfo) -> Iterator[Period]:
    start = period.start
    while start < period.end:
        end = min(period_containing(kind, start, zone).end, period.end)
        yield Period(start, end)
        start = end
