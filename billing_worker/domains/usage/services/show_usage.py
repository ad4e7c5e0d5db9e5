"""Show a user's usage."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.usage.queries.spans import count_waiting_records, list_metrics_of_user
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan, round_quantity
from billing_worker.domains.usage.services.measure_usage import measure_usage
from billing_worker.domains.usage.states import Formula
from billing_worker.kernel.periods import Period


@dataclass(frozen=True, slots=True)
class UsageLine:
    """A metric's use in a span; `billed_quantity` is rounded by the metric, `waiting` records are not in it yet."""

    metric: str
    value: int
    unit: str
    billed_quantity: int
    formula: Formula
    records: int
    waiting: int


def show_usage(
    session: Session,
    *,
    user_id: str,
    metric_type: str | None,
    period: Period,
    metrics: MetricCatalog,
    zone: ZoneInfo,
) -> list[UsageLine]:
    """Measure one metric, or every metric the user ever had usage of.

    Raises: UnknownMetricError.
    """
    waiting = count_waiting_records(session, user_id, period)
    if metric_type is not None:
        names = [metrics.get(metric_type).name]
    else:
        names = [name for name in sorted({*list_metrics_of_user(session, user_id), *waiting}) if name in metrics]
    spans = [UsageSpan(user_id, name, period) for name in names]
    measured = measure_usage(session, spans, metrics=metrics, zone=zone)
    return [
        UsageLine(
            metric=name,
            value=one.value,
            unit=metrics.get(name).unit,
            billed_quantity=round_quantity(one.value, metrics.get(name)),
            formula=metrics.get(name).formula,
            records=one.record_count,
            waiting=waiting.get(name, 0),
        )
        for name, one in zip(names, measured, strict=True)
    ]
