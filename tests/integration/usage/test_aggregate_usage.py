from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.queries.reports import BucketComparison, get_aggregation_lag
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.aggregate_usage import AggregationReport, aggregate_usage
from billing_worker.domains.usage.services.compare_usage import compare_usage
from billing_worker.domains.usage.services.count_rollup_differences import count_rollup_differences
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.kernel.periods import PeriodKind, period_containing
from tests.integration.usage.conftest import Recorder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZONES = ["UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"]
# instants around which local hours, days and months are odd: DST in New York, Lord Howe and Havana, month ends
EDGES = [
    datetime(2025, 3, 9, 7, tzinfo=UTC),
    datetime(2025, 11, 2, 5, tzinfo=UTC),
    datetime(2025, 11, 2, 4, 45, tzinfo=UTC),
    datetime(2025, 4, 5, 15, tzinfo=UTC),
    datetime(2025, 10, 4, 15, 30, tzinfo=UTC),
    datetime(2025, 12, 31, 18, 30, tzinfo=UTC),
    datetime(2026, 2, 28, 23, 59, tzinfo=UTC),
    datetime(2026, 3, 1, 0, tzinfo=UTC),
]


class CrashError(Exception):
    """The process dies at this statement."""


def local_bucket(level: str, instant: datetime, zone: ZoneInfo) -> tuple[object, ...]:
    """Name a bucket by what the wall clock shows: written without the code under test."""
    local = instant.astimezone(zone)
    parts: tuple[object, ...] = (local.year, local.month)
    if level != "monthly":
        parts += (local.day,)
    if level == "hourly":
        parts += (local.hour, local.utcoffset())
    return parts


def assert_exact(engine: Engine, zone: ZoneInfo) -> None:
    """Compare every rollup row with brute force over the raw rows."""
    with engine.connect() as connection:
        raw = connection.execute(
            text("SELECT user_id, metric_type, created_at, id, value, unique_key FROM billing_usage")
        ).all()
        for level in ("hourly", "daily", "monthly"):
            expected: dict[tuple[object, ...], list[tuple[datetime, int, int, str]]] = defaultdict(list)
            for user, metric, created_at, row_id, value, unique_key in raw:
                key = (user, metric, *local_bucket(level, created_at, zone))
                expected[key].append((created_at, row_id, value, unique_key))
            found = {}
            for row in connection.execute(text(f"SELECT * FROM billing_usage_{level}")):  # noqa: S608 - test constant
                # the start of an hour cut by a half-hour change lies before the change: look at its end
                inside = row.bucket_start + timedelta(minutes=45) if level == "hourly" else row.bucket_start
                key = (row.user_id, row.metric_type, *local_bucket(level, inside, zone))
                assert key not in found
                found[key] = row
            assert set(found) == set(expected)
            for key, records in expected.items():
                row = found[key]
                assert row.record_count == len(records)
                assert row.sum_value == sum(value for _, _, value, _ in records)
                assert row.max_value == max(value for _, _, value, _ in records)
                if key[1] == "seats":
                    newest = max(records)
                    assert (row.last_at, row.last_id, row.last_value) == newest[:3]
                if key[1] == "active_users":
                    assert row.unique_count == len({unique_key for *_, unique_key in records})


def empty(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "TRUNCATE billing_usage, billing_usage_batches, billing_usage_claims, billing_usage_hourly, "
                "billing_usage_daily, billing_usage_monthly, billing_usage_uniques, billing_dirty_marks"
            )
        )


instants = st.builds(
    lambda edge, seconds: min(edge + timedelta(seconds=seconds), NOW),
    st.sampled_from(EDGES),
    st.integers(-5400, 5400),
)
records = st.builds(
    lambda user, metric, value, at, key: UsageRecord(
        user, metric, value, created_at=at, unique_key=key if metric == "active_users" else None
    ),
    st.sampled_from(["u1", "u2"]),
    st.sampled_from(["api_calls", "storage_gb", "seats", "active_users"]),
    st.integers(0, 5),
    instants,
    st.sampled_from(["a", "b", "c"]),
)


@given(
    batches=st.lists(st.lists(records, min_size=1, max_size=6), min_size=1, max_size=6),
    zone_name=st.sampled_from(ZONES),
    crash_at=st.lists(st.integers(1, 18), max_size=3),
    split=st.integers(0, 6),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rollups_equal_brute_force_after_any_crashes(
    unit_of_work: UnitOfWork,
    engine: Engine,
    metrics: MetricCatalog,
    batches: list[list[UsageRecord]],
    zone_name: str,
    crash_at: list[int],
    split: int,
) -> None:
    empty(engine)
    zone = ZoneInfo(zone_name)
    for part in (batches[:split], batches[split:]):
        for batch in part:
            with unit_of_work.transaction() as session:
                record_usage(session, batch, metrics=metrics, source="test", now=NOW)
        for statement_number in crash_at:
            aggregate_until_crash(unit_of_work, engine, metrics, zone, statement_number)
        aggregate_usage(unit_of_work, metrics=metrics, zone=zone, batches_per_round=2)
    assert_exact(engine, zone)
    with unit_of_work.transaction() as session:
        assert count_rollup_differences(session, metrics=metrics, zone=zone) == 0


def aggregate_until_crash(
    unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, zone: ZoneInfo, statement_number: int
) -> bool:
    """Run an aggregation that dies before its n-th statement, or before the commit that would follow the last."""
    seen = 0

    def count_down(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == statement_number:
            raise CrashError

    event.listen(engine, "before_cursor_execute", count_down)
    event.listen(engine, "commit", count_down)
    try:
        aggregate_usage(unit_of_work, metrics=metrics, zone=zone, batches_per_round=3)
    except CrashError:
        return True
    finally:
        event.remove(engine, "before_cursor_execute", count_down)
        event.remove(engine, "commit", count_down)
    return False


def test_a_crash_at_any_statement_leaves_nothing_half_done(
    unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    record(UsageRecord("u1", "api_calls", 5), UsageRecord("u1", "active_users", unique_key="x"))
    # set_config, claim, slots, the rollups merged, three times keys seeded and added, finish, commit
    for statement_number in range(1, 12):
        assert aggregate_until_crash(unit_of_work, engine, metrics, utc, statement_number)
        with engine.connect() as connection:
            for table in ("usage_hourly", "usage_daily", "usage_monthly", "dirty_marks"):
                count = connection.execute(text(f"SELECT count(*) FROM billing_{table}"))  # noqa: S608 - constants
                assert count.scalar_one() == 0
    assert aggregate_usage(unit_of_work, metrics=metrics, zone=utc) == AggregationReport(1, 1, 2)
    assert_exact(engine, utc)


@pytest.mark.parametrize("zone_name", ["UTC", "Asia/Kolkata"])
def test_parallel_aggregators_beside_writers(
    unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, zone_name: str
) -> None:
    zone = ZoneInfo(zone_name)
    barrier = threading.Barrier(6)

    def write(number: int) -> None:
        barrier.wait(timeout=30)
        for step in range(12):
            with unit_of_work.transaction() as session:
                batch = [
                    UsageRecord(
                        f"u{n % 3}", "active_users", 1, created_at=NOW - timedelta(minutes=n), unique_key=str(n)
                    )
                    if n % 2
                    else UsageRecord(f"u{n % 3}", "seats", number * 100 + n, created_at=NOW - timedelta(hours=n % 5))
                    for n in range(step, step + 20)
                ]
                record_usage(session, batch, metrics=metrics, source=str(number), now=NOW)

    def aggregate(_: int) -> int:
        barrier.wait(timeout=30)
        rounds = [aggregate_usage(unit_of_work, metrics=metrics, zone=zone, batches_per_round=2) for _ in range(20)]
        return sum(report.records for report in rounds)

    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, number) for number in range(3)]
        aggregators = [pool.submit(aggregate, number) for number in range(3)]
        for writer in writers:
            writer.result(timeout=60)
        done = sum(one.result(timeout=60) for one in aggregators)
    done += aggregate_usage(unit_of_work, metrics=metrics, zone=zone).records
    assert done == 3 * 12 * 20
    assert_exact(engine, zone)


def test_two_aggregators_meet_on_the_same_bucket_and_neither_loses(
    unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    for number in range(40):
        record(UsageRecord("u1", "active_users", 1, unique_key=f"k{number}"), UsageRecord("u1", "api_calls", number))
    barrier = threading.Barrier(2)

    def aggregate(_: int) -> AggregationReport:
        barrier.wait(timeout=30)
        return aggregate_usage(unit_of_work, metrics=metrics, zone=utc, batches_per_round=1)

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(aggregate, range(2)))
    assert sum(report.batches for report in reports) == 40
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT metric_type, record_count, sum_value, unique_count FROM billing_usage_monthly ORDER BY 1")
        ).all()
    assert [tuple(row) for row in rows] == [("active_users", 40, 40, 40), ("api_calls", 40, 780, None)]


def test_an_open_batch_of_a_running_transaction_does_not_hide_later_ones(
    unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    with unit_of_work.transaction() as slow:
        record_usage(slow, [UsageRecord("u1", "api_calls", 5)], metrics=metrics, source="slow", now=NOW)
        record(UsageRecord("u1", "api_calls", 7))
        assert aggregate_usage(unit_of_work, metrics=metrics, zone=utc).records == 1
    assert aggregate_usage(unit_of_work, metrics=metrics, zone=utc) == AggregationReport(1, 1, 1)
    assert aggregate_usage(unit_of_work, metrics=metrics, zone=utc) == AggregationReport(0, 0, 0)
    assert_exact(engine, utc)


def test_rounds_are_bounded_by_records(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    for _ in range(3):
        record(*[UsageRecord("u1", "api_calls", 1)] * 30_000)
    assert aggregate_usage(unit_of_work, metrics=metrics, zone=utc) == AggregationReport(3, 3, 90_000)


def test_days_of_23_and_25_hours_and_half_hour_zones(
    unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, record: Recorder
) -> None:
    zone = ZoneInfo("America/New_York")
    for first in (datetime(2025, 3, 9, 5, tzinfo=UTC), datetime(2025, 11, 2, 4, tzinfo=UTC)):
        record(*[UsageRecord("u1", "api_calls", 1, created_at=first + timedelta(hours=n)) for n in range(25)])
    aggregate_usage(unit_of_work, metrics=metrics, zone=zone)
    with engine.connect() as connection:
        days = connection.execute(
            text("SELECT bucket_start, sum_value FROM billing_usage_daily ORDER BY bucket_start")
        ).all()
    assert [(day.bucket_start, int(day.sum_value)) for day in days] == [
        (datetime(2025, 3, 9, 5, tzinfo=UTC), 23),
        (datetime(2025, 3, 10, 4, tzinfo=UTC), 2),
        (datetime(2025, 11, 2, 4, tzinfo=UTC), 25),
    ]


def test_marks_name_what_was_touched_and_since_when(
    unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    record(
        UsageRecord("a/b", "api_calls", 1, created_at=NOW - timedelta(days=3)),
        UsageRecord("a/b", "api_calls", 1),
        UsageRecord("c", "tokens", 1),
    )
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    with engine.connect() as connection:
        subjects = connection.execute(text("SELECT subject_id FROM billing_dirty_marks WHERE kind = 'usage'")).scalars()
        early, late = int((NOW - timedelta(days=3)).timestamp()), int(NOW.timestamp())
        assert sorted(subjects) == [f"api_calls/{early}/a/b", f"tokens/{late}/c"]


def test_the_comparison_finds_every_kind_of_damage(
    unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    record(
        UsageRecord("u1", "api_calls", 5),
        UsageRecord("u1", "seats", 3),
        UsageRecord("u1", "storage_gb", 3),
        UsageRecord("u1", "active_users", unique_key="x"),
    )
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    damages = [
        "UPDATE billing_usage_daily SET sum_value = sum_value + 1 WHERE metric_type = 'api_calls'",
        "UPDATE billing_usage_daily SET record_count = 2 WHERE metric_type = 'api_calls'",
        "UPDATE billing_usage_hourly SET max_value = 4 WHERE metric_type = 'storage_gb'",
        "UPDATE billing_usage_hourly SET last_value = 4 WHERE metric_type = 'seats'",
        "UPDATE billing_usage_monthly SET unique_count = 2 WHERE metric_type = 'active_users'",
        "DELETE FROM billing_usage_monthly WHERE metric_type = 'seats'",
        "UPDATE billing_usage_daily SET bucket_start = bucket_start - interval '1 day' WHERE metric_type = 'seats'",
        "UPDATE billing_usage SET value = 6 WHERE metric_type = 'api_calls'",
    ]
    found = []
    for damage in damages:
        with engine.connect() as connection:
            connection.execute(text(damage))
            found.append(count_rollup_differences(Session(connection), metrics=metrics, zone=utc))
            connection.rollback()
    assert found == [1, 1, 1, 1, 1, 1, 2, 3]


def test_open_batches_are_lag_and_no_difference(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    record(UsageRecord("u1", "api_calls", 5), UsageRecord("u1", "active_users", unique_key="x"))
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    record(UsageRecord("u1", "api_calls", 2), UsageRecord("u1", "active_users", unique_key="y"))
    record(UsageRecord("u2", "api_calls", 2))
    with unit_of_work.transaction() as session:
        assert count_rollup_differences(session, metrics=metrics, zone=utc) == 0
        lag = get_aggregation_lag(session)
        span = period_containing(PeriodKind.MONTH, NOW, utc)
        days = compare_usage(session, user_id="u1", span=span, metrics=metrics, zone=utc)
    assert (lag.open_batches, lag.open_records, lag.oldest_accepted_at) == (2, 3, NOW)
    day = datetime(2026, 3, 1, tzinfo=UTC)
    assert days == [
        BucketComparison("active_users", day, 1, 1, 1, 1, 1, differs=False),
        BucketComparison("api_calls", day, 1, 1, 5, 5, 1, differs=False),
    ]
