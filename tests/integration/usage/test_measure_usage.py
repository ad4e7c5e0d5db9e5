from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord, UsageSpan
from billing_worker.domains.usage.services.aggregate_usage import aggregate_usage
from billing_worker.domains.usage.services.measure_usage import Measurement, measure_usage
from billing_worker.kernel.periods import Period
from tests.integration.usage.conftest import Recorder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
METRICS = ["api_calls", "storage_gb", "seats", "active_users"]


@pytest.mark.parametrize("zone_name", ["UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"])
def test_any_span_is_measured_as_brute_force_would(
    unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, record: Recorder, zone_name: str
) -> None:
    zone = ZoneInfo(zone_name)
    first = datetime(2025, 9, 20, tzinfo=UTC)
    step = timedelta(hours=3, minutes=17, seconds=11)
    for metric in METRICS:
        record(
            *[
                UsageRecord(
                    f"u{n % 2}",
                    metric,
                    n * 7919 % 101,
                    created_at=first + step * n,
                    unique_key=str(n * 31 % 17) if metric == "active_users" else None,
                )
                for n in range(1000)
            ]
        )
    aggregate_usage(unit_of_work, metrics=metrics, zone=zone)
    marks = [
        first + timedelta(days=d, minutes=m) for d, m in ((0, 0), (11, 0), (14, 915), (14, 930), (42, 423), (73, 1))
    ]
    periods = [Period(start, end) for start in marks for end in marks if start < end]
    periods.append(Period(datetime(2025, 10, 1, tzinfo=zone), datetime(2025, 11, 1, tzinfo=zone)))
    spans = [UsageSpan(user, metric, period) for user in ("u0", "u1", "u2") for metric in METRICS for period in periods]
    with unit_of_work.transaction() as session:
        measured = measure_usage(session, spans, metrics=metrics, zone=zone)
    assert measured == [brute_force(engine, span) for span in spans]
    assert sum(one.record_count for one in measured) > 10_000


def brute_force(engine: Engine, span: UsageSpan) -> Measurement:
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT value, unique_key FROM billing_usage WHERE user_id = :user AND metric_type = :metric "
                "AND created_at >= :opens AND created_at < :closes ORDER BY created_at, id"
            ),
            {
                "user": span.user_id,
                "metric": span.metric_type,
                "opens": span.period.start,
                "closes": span.period.end,
            },
        ).all()
    values = [row.value for row in rows] or [0]
    answers = {
        "api_calls": sum(values),
        "storage_gb": max(values),
        "seats": values[-1],
        "active_users": len({row.unique_key for row in rows}),
    }
    return Measurement(answers[span.metric_type], len(rows))


def test_records_that_wait_for_aggregation_are_not_measured_yet(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    record(UsageRecord("u1", "api_calls", 5))
    span = UsageSpan("u1", "api_calls", Period(NOW - timedelta(seconds=7), NOW + timedelta(seconds=7)))
    with unit_of_work.transaction() as session:
        assert measure_usage(session, [span], metrics=metrics, zone=utc) == [Measurement(0, 0)]
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    with unit_of_work.transaction() as session:
        assert measure_usage(session, [span], metrics=metrics, zone=utc) == [Measurement(5, 1)]
        assert measure_usage(session, [], metrics=metrics, zone=utc) == []
