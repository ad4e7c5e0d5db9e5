from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import IntegrityError

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.errors import NoBillingAnchorError, QuotaNotFoundError
from billing_worker.domains.quotas.queries.periods import claim_due_periods
from billing_worker.domains.quotas.queries.resets import NextReset, count_due_resets, get_next_reset
from billing_worker.domains.quotas.rules import Anchor, QuotaTerms
from billing_worker.domains.quotas.services.advance_periods import advance_periods
from billing_worker.domains.quotas.services.find_billing_anchor import find_billing_anchor
from billing_worker.domains.quotas.services.refresh_periods import RefreshReport
from billing_worker.domains.quotas.services.refresh_quota_usage import refresh_quota_usage
from billing_worker.domains.quotas.services.reset_due_quotas import ResetReport, reset_due_quotas
from billing_worker.domains.quotas.services.reset_quota import reset_quota
from billing_worker.domains.quotas.services.set_quota import set_quota
from billing_worker.domains.usage.errors import UnknownMetricError
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.aggregate_usage import aggregate_usage
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.periods import PeriodKind
from tests.integration.quotas.conftest import UTC_ZONE, ReadPeriods, SetQuota, Use

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class CrashError(Exception):
    """The process dies at this statement."""


def reset(unit_of_work: UnitOfWork, metrics: MetricCatalog, zone: ZoneInfo = UTC_ZONE) -> ResetReport:
    return reset_due_quotas(unit_of_work, metrics=metrics, zone=zone, enforcing=True)


def test_a_new_quota_counts_what_was_used_in_its_period_before(
    set_terms: SetQuota, use: Use, read_periods: ReadPeriods
) -> None:
    use(7, at=NOW - timedelta(hours=11))
    use(9, at=NOW - timedelta(hours=13))
    opened = set_terms(10)
    assert (opened.use.used_value, opened.blocked_at) == (7, None)
    assert read_periods() == [("03-01 00", "04-01 00", 10, 0, 7, "open", False, None)]


def test_usage_blocks_at_the_limit_and_a_higher_limit_releases(
    set_terms: SetQuota, use: Use, read_periods: ReadPeriods, clock: FixedClock, engine: Engine
) -> None:
    set_terms(10)
    use(9)
    assert read_periods() == [("03-01 00", "04-01 00", 10, 0, 9, "open", False, None)]
    use(1)
    assert read_periods() == [("03-01 00", "04-01 00", 10, 0, 10, "open", True, None)]
    clock.advance(timedelta(hours=1))
    use(5)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT blocked_at FROM billing_quota_periods")).scalar_one() == NOW
    assert set_terms(16).blocked_at is None
    assert read_periods() == [("03-01 00", "04-01 00", 16, 0, 15, "open", False, None)]
    assert set_terms(15, soft=True).blocked_at is None
    assert set_terms(15).blocked_at == NOW + timedelta(hours=1)


def test_enforcement_switched_off_blocks_nobody(
    set_terms: SetQuota, unit_of_work: UnitOfWork, metrics: MetricCatalog, read_periods: ReadPeriods
) -> None:
    set_terms(10)
    with unit_of_work.transaction() as session:
        record_usage(session, [UsageRecord("user123", "api_calls", 50)], metrics=metrics, source="test", now=NOW)
    aggregate_usage(unit_of_work, metrics=metrics, zone=UTC_ZONE)
    report = refresh_quota_usage(unit_of_work, metrics=metrics, zone=UTC_ZONE, enforcing=False)
    assert (report.periods, report.blocked, report.released) == (1, 0, 0)
    assert read_periods() == [("03-01 00", "04-01 00", 10, 0, 50, "open", False, None)]


def test_usage_of_others_touches_nothing(
    set_terms: SetQuota, use: Use, read_periods: ReadPeriods, engine: Engine
) -> None:
    set_terms(10)
    use(50, user="user124")
    use(50, metric="tokens")
    assert read_periods() == [("03-01 00", "04-01 00", 10, 0, 0, "open", False, None)]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM billing_dirty_marks")).scalar_one() == 0


def test_each_missed_period_comes_exactly_once_and_releases_the_blocked(
    set_terms: SetQuota,
    use: Use,
    read_periods: ReadPeriods,
    clock: FixedClock,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
) -> None:
    set_terms(10, "day")
    use(12)
    assert reset(unit_of_work, metrics) == ResetReport(0, 0, 0)
    clock.advance(timedelta(days=3))
    use(4, at=NOW + timedelta(days=1))
    use(11)
    with unit_of_work.transaction() as session:
        assert count_due_resets(session, clock.now(), limit=1) == 1
    assert reset(unit_of_work, metrics) == ResetReport(1, 2, 0)
    assert reset(unit_of_work, metrics) == ResetReport(0, 0, 0)
    assert read_periods() == [
        ("03-01 00", "03-02 00", 10, 0, 12, "closed", True, "quota_reset"),
        ("03-02 00", "03-03 00", 10, 0, 4, "closed", False, "quota_reset"),
        ("03-03 00", "03-04 00", 10, 0, 0, "closed", False, "quota_reset"),
        ("03-04 00", "03-05 00", 10, 0, 11, "open", True, None),
    ]
    clock.advance(timedelta(hours=12))
    assert reset(unit_of_work, metrics) == ResetReport(1, 0, 1)
    assert read_periods()[-1] == ("03-05 00", "03-06 00", 10, 0, 0, "open", False, None)


def test_what_is_left_rolls_over_through_missed_periods(
    set_terms: SetQuota,
    use: Use,
    read_periods: ReadPeriods,
    clock: FixedClock,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
) -> None:
    set_terms(10, "day", rollover=True)
    use(7)
    clock.advance(timedelta(days=3))
    use(12, at=NOW + timedelta(days=2))
    reset(unit_of_work, metrics)
    assert [row[2:5] for row in read_periods()] == [(10, 0, 7), (10, 3, 0), (10, 10, 12), (10, 8, 0)]


def test_late_records_reach_the_closed_period_they_belong_to(
    set_terms: SetQuota,
    use: Use,
    read_periods: ReadPeriods,
    clock: FixedClock,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
) -> None:
    set_terms(10, "day")
    clock.advance(timedelta(days=2))
    reset(unit_of_work, metrics)
    use(25, at=NOW)
    assert [row[4:7] for row in read_periods()] == [(25, "closed", False), (0, "closed", False), (0, "open", False)]


def test_an_operators_reset_cuts_the_period(
    set_terms: SetQuota,
    use: Use,
    read_periods: ReadPeriods,
    clock: FixedClock,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
) -> None:
    set_terms(10)
    use(10)
    clock.advance(timedelta(days=2, minutes=17))
    with unit_of_work.transaction() as session:
        [opened] = reset_quota(
            session, user_id="user123", metrics=metrics, zone=UTC_ZONE, enforcing=True, now=clock.now()
        )
    assert (opened.period.start, opened.use.used_value, opened.blocked_at) == (clock.now(), 0, None)
    use(3)
    use(2, at=clock.now() - timedelta(minutes=1))
    assert read_periods() == [
        ("03-01 00", "03-03 12", 10, 0, 12, "closed", True, "operator"),
        ("03-03 12", "04-01 00", 10, 0, 3, "open", False, None),
    ]
    with unit_of_work.transaction() as session:
        again = reset_quota(session, user_id="user123", metrics=metrics, zone=UTC_ZONE, enforcing=True, now=clock.now())
    assert [one.id for one in again] == [opened.id]
    with unit_of_work.transaction() as session, pytest.raises(QuotaNotFoundError, match="nself billing quota set"):
        reset_quota(session, user_id="nobody", metrics=metrics, zone=UTC_ZONE, enforcing=True, now=clock.now())


def test_another_kind_of_period_cuts_and_leaves_no_gap(
    set_terms: SetQuota, use: Use, read_periods: ReadPeriods, clock: FixedClock
) -> None:
    set_terms(1000, "month")
    use(40)
    clock.advance(timedelta(days=1))
    set_terms(100, "day")
    use(30)
    clock.advance(timedelta(hours=13))
    set_terms(500, "month")
    assert read_periods() == [
        ("03-01 00", "03-02 12", 1000, 0, 40, "closed", False, "ops"),
        ("03-02 12", "03-03 00", 100, 0, 30, "closed", False, "ops"),
        ("03-03 00", "03-03 01", 100, 0, 0, "closed", False, "ops"),
        ("03-03 01", "04-01 00", 500, 0, 0, "open", False, None),
    ]


def test_terms_changed_in_the_same_instant_replace_the_period(set_terms: SetQuota, read_periods: ReadPeriods) -> None:
    set_terms(1000, "billing", anchor=Anchor(NOW, 1))
    set_terms(100, "day")
    assert read_periods() == [("03-01 12", "03-02 00", 100, 0, 0, "open", False, None)]


def test_a_quota_of_an_unknown_metric_is_refused(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, read_periods: ReadPeriods
) -> None:
    terms = QuotaTerms("user123", "apicalls", PeriodKind.MONTH, 10)
    with unit_of_work.transaction() as session, pytest.raises(UnknownMetricError, match="known metrics: active_users"):
        set_quota(session, terms, set_by="ops", metrics=metrics, zone=UTC_ZONE, enforcing=True, now=NOW)
    assert read_periods() == []


def test_racing_resets_open_each_period_once(
    set_terms: SetQuota,
    read_periods: ReadPeriods,
    clock: FixedClock,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
) -> None:
    for number in range(30):
        set_terms(10, "day", user=f"u{number:02}")
    clock.advance(timedelta(days=5))
    barrier = threading.Barrier(4)

    def run(_: int) -> ResetReport:
        barrier.wait(timeout=30)
        return reset_due_quotas(unit_of_work, metrics=metrics, zone=UTC_ZONE, enforcing=True, periods_per_round=3)

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(run, range(4)))
    reports.append(reset(unit_of_work, metrics))
    assert sum(report.closed for report in reports) == 30
    assert sum(report.passed for report in reports) == 120
    days = [(f"03-0{day} 00", f"03-0{day + 1} 00") for day in range(1, 7)]
    assert [row[:2] for row in read_periods()] == days * 30


@given(
    anchor_day=st.sampled_from([datetime(2026, 1, 31, 23, 15, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)]),
    kind=st.sampled_from(["day", "week", "month", "billing"]),
    steps=st.lists(st.timedeltas(timedelta(minutes=1), timedelta(days=40)), min_size=1, max_size=4),
    uses=st.lists(st.tuples(st.integers(1, 9), st.floats(0, 1)), max_size=4),
    crash_at=st.integers(1, 9),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_histories_are_whole_after_any_downtime_and_crash(  # noqa: PLR0917 - hypothesis and fixtures
    engine: Engine,
    metrics: MetricCatalog,
    unit_of_work: UnitOfWork,
    clock: FixedClock,
    set_terms: SetQuota,
    use: Use,
    anchor_day: datetime,
    kind: str,
    steps: list[timedelta],
    uses: list[tuple[int, float]],
    crash_at: int,
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "TRUNCATE billing_quotas, billing_quota_periods, billing_usage, billing_usage_batches, "
                "billing_usage_hourly, billing_usage_daily, billing_usage_monthly, billing_dirty_marks CASCADE"
            )
        )
    start = clock.now()
    set_terms(10, kind, anchor=Anchor(anchor_day, 1) if kind == "billing" else None)
    for step in steps:
        clock.advance(step)
        for value, share in uses:
            use(value, at=start + (clock.now() - start) * share)
        crash_during_reset(unit_of_work, engine, metrics, crash_at)
        reset(unit_of_work, metrics)
    with engine.connect() as connection:
        periods = connection.execute(text("SELECT * FROM billing_quota_periods ORDER BY period_start")).all()
        raw = connection.execute(text("SELECT created_at, value FROM billing_usage")).all()
    assert [one.status for one in periods] == ["closed"] * (len(periods) - 1) + ["open"]
    assert [one.period_start for one in periods[1:]] == [one.period_end for one in periods[:-1]]
    assert periods[-1].period_start <= clock.now() < periods[-1].period_end
    for one in periods:
        assert one.used_value == sum(row.value for row in raw if one.period_start <= row.created_at < one.period_end)
    assert (periods[-1].blocked_at is not None) == (periods[-1].used_value >= 10)


def crash_during_reset(unit_of_work: UnitOfWork, engine: Engine, metrics: MetricCatalog, statement_number: int) -> None:
    seen = 0

    def count_down(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == statement_number:
            raise CrashError

    event.listen(engine, "before_cursor_execute", count_down)
    event.listen(engine, "commit", count_down)
    try:
        reset(unit_of_work, metrics)
    except CrashError:
        return
    finally:
        event.remove(engine, "before_cursor_execute", count_down)
        event.remove(engine, "commit", count_down)


def test_a_second_row_for_a_period_is_impossible(set_terms: SetQuota, engine: Engine) -> None:
    set_terms(10)
    copy = text(
        "INSERT INTO billing_quota_periods (quota_id, user_id, metric_type, period, period_start, period_end, "
        "limit_value, status, opened_at) SELECT quota_id, user_id, metric_type, period, period_start, period_end, "
        "limit_value, 'closed', opened_at FROM billing_quota_periods"
    )
    with engine.connect() as connection, pytest.raises(IntegrityError, match="uq_billing_quota_periods"):
        connection.execute(copy)


def test_next_reset_counts_what_is_to_come_and_what_is_overdue(
    set_terms: SetQuota, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    set_terms(10, "day", user="a")
    set_terms(10, "day", user="b")
    set_terms(10, "month", user="c")
    with unit_of_work.transaction() as session:
        assert get_next_reset(session, NOW) == NextReset(datetime(2026, 3, 2, tzinfo=UTC), 2, 0)
    clock.advance(timedelta(days=1))
    with unit_of_work.transaction() as session:
        assert get_next_reset(session, clock.now()) == NextReset(datetime(2026, 4, 1, tzinfo=UTC), 1, 2)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("month", Anchor(datetime(2026, 1, 31, 9, 30, tzinfo=UTC), 3)),
        ("year", Anchor(datetime(2026, 1, 31, 9, 30, tzinfo=UTC), 36)),
    ],
)
def test_a_billing_quota_follows_the_subscription_in_the_mirror(
    engine: Engine, unit_of_work: UnitOfWork, set_terms: SetQuota, interval: str, expected: Anchor
) -> None:
    mirror_subscription(engine, interval)
    with unit_of_work.transaction() as session:
        anchor = find_billing_anchor(session, "user123")
    assert anchor == expected
    opened = set_terms(10, "billing", anchor=anchor)
    assert opened.period.start == datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    assert opened.period.end.month == (4 if interval == "month" else 1)


def test_a_billing_quota_needs_a_subscription_of_months(engine: Engine, unit_of_work: UnitOfWork) -> None:
    with unit_of_work.transaction() as session, pytest.raises(NoBillingAnchorError, match="no living subscription"):
        find_billing_anchor(session, "user123")
    mirror_subscription(engine, "week")
    with unit_of_work.transaction() as session, pytest.raises(NoBillingAnchorError, match="sub_1 is billed by week"):
        find_billing_anchor(session, "user123")


def mirror_subscription(engine: Engine, interval: str) -> None:
    """Write what the drain and the customer link would have written."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO billing_customer_users (customer_id, user_id, linked_at, linked_by) "
                "VALUES ('cus_1', 'user123', :now, 'test')"
            ),
            {"now": NOW},
        )
        connection.execute(
            text(
                "INSERT INTO billing_subscriptions (id, data, version, version_row_id, version_event_id, synced_at, "
                "customer_id, status, billing_cycle_anchor) VALUES ('sub_1', jsonb_build_object('items', "
                "jsonb_build_object('data', jsonb_build_array(jsonb_build_object('price', jsonb_build_object("
                "'recurring', jsonb_build_object('interval', CAST(:interval AS text), 'interval_count', 3)))))), "
                ":now, 1, 'evt_1', :now, 'cus_1', 'active', '2026-01-31 09:30:00+00')"
            ),
            {"now": NOW, "interval": interval},
        )


def test_used_values_are_exact_when_everything_runs_at_once(
    set_terms: SetQuota, unit_of_work: UnitOfWork, metrics: MetricCatalog, engine: Engine, clock: FixedClock
) -> None:
    for number in range(3):
        set_terms(10_000, "day", user=f"u{number}")
    barrier = threading.Barrier(6)

    def write(number: int) -> None:
        barrier.wait(timeout=30)
        for step in range(25):
            at = NOW + timedelta(hours=step * 2 + number)
            with unit_of_work.transaction() as session:
                batch = [UsageRecord(f"u{n % 3}", "api_calls", n, created_at=min(at, clock.now())) for n in range(6)]
                record_usage(session, batch, metrics=metrics, source="test", now=clock.now())
            clock.advance(timedelta(hours=1))

    def drain(number: int) -> None:
        barrier.wait(timeout=30)
        for _ in range(15):
            if number != 0:
                aggregate_usage(unit_of_work, metrics=metrics, zone=UTC_ZONE, batches_per_round=3)
            if number != 1:
                refresh_quota_usage(unit_of_work, metrics=metrics, zone=UTC_ZONE, enforcing=True, marks_per_round=2)
            reset_due_quotas(unit_of_work, metrics=metrics, zone=UTC_ZONE, enforcing=True, periods_per_round=1)

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(write, number) for number in range(3)] + [pool.submit(drain, n) for n in range(3)]
        for one in running:
            one.result(timeout=60)
    aggregate_usage(unit_of_work, metrics=metrics, zone=UTC_ZONE)
    refresh_quota_usage(unit_of_work, metrics=metrics, zone=UTC_ZONE, enforcing=True)
    reset(unit_of_work, metrics)
    with engine.connect() as connection:
        wrong = connection.execute(
            text(
                "SELECT p.* FROM billing_quota_periods p WHERE p.used_value <> (SELECT coalesce(sum(u.value), 0) "
                "FROM billing_usage u WHERE u.user_id = p.user_id AND u.created_at >= p.period_start "
                "AND u.created_at < p.period_end)"
            )
        ).all()
        totals = connection.execute(
            text("SELECT count(*) FILTER (WHERE status = 'open'), sum(used_value) FROM billing_quota_periods")
        ).one()
    assert wrong == []
    assert tuple(totals) == (3, 3 * 25 * 15)


def test_a_refresh_waits_for_a_reset_under_way_and_finds_the_period_it_opens(
    set_terms: SetQuota,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
    clock: FixedClock,
    engine: Engine,
    read_periods: ReadPeriods,
) -> None:
    set_terms(10, "day")
    clock.advance(timedelta(hours=13))
    with ThreadPoolExecutor(1) as pool:
        with unit_of_work.transaction() as resetting:
            due = claim_due_periods(resetting, now=clock.now(), limit=10)
            advance_periods(
                resetting, due, metrics=metrics, zone=UTC_ZONE, enforcing=True, closed_by="test", now=clock.now()
            )
            with unit_of_work.transaction() as session:
                record_usage(
                    session, [UsageRecord("user123", "api_calls", 4)], metrics=metrics, source="test", now=clock.now()
                )
            aggregate_usage(unit_of_work, metrics=metrics, zone=UTC_ZONE)
            refreshing = pool.submit(refresh_quota_usage, unit_of_work, metrics=metrics, zone=UTC_ZONE, enforcing=True)
            wait_until_blocked(engine, refreshing)
        assert refreshing.result(timeout=30).periods == 1
    assert read_periods() == [
        ("03-01 00", "03-02 00", 10, 0, 0, "closed", False, "test"),
        ("03-02 00", "03-03 00", 10, 0, 4, "open", False, None),
    ]


def wait_until_blocked(engine: Engine, work: Future[RefreshReport]) -> None:
    """Return when PostgreSQL says that somebody waits for a lock; fail when the work ends without waiting."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with engine.connect() as connection:
        while not connection.execute(waiting).scalar_one():
            assert not work.done()
            connection.rollback()
