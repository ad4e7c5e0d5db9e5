"""Corrections: taken back, computed anew, found again in the log, archived and restored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import boto3
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.archive_stores import ArchiveStore, BucketStore, FolderStore
from billing_worker.domains.usage.errors import ArchivedUsageError, ArchiveError
from billing_worker.domains.usage.gaps import Verdict
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord, UsageSpan
from billing_worker.domains.usage.services.aggregate_usage import aggregate_usage
from billing_worker.domains.usage.services.archive_usage import archive_usage
from billing_worker.domains.usage.services.count_rollup_differences import count_rollup_differences
from billing_worker.domains.usage.services.deduplicate_usage import deduplicate_usage
from billing_worker.domains.usage.services.explain_usage import explain_usage
from billing_worker.domains.usage.services.find_gaps import find_gaps
from billing_worker.domains.usage.services.measure_usage import measure_usage
from billing_worker.domains.usage.services.recalculate_usage import recalculate_usage
from billing_worker.domains.usage.services.reconstruct_usage import reconstruct_usage
from billing_worker.domains.usage.services.restore_usage import restore_usage
from billing_worker.kernel.periods import Period
from billing_worker.worker.uptime import BILLING, read_uptime, tell_alive
from tests.integration.usage.conftest import Recorder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
THEN = datetime(2026, 2, 10, 9, tzinfo=UTC)
FEBRUARY = Period(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))


def total(session: Session, metrics: MetricCatalog, zone: ZoneInfo, metric: str = "api_calls") -> tuple[int, int]:
    [one] = measure_usage(session, [UsageSpan("u1", metric, FEBRUARY)], metrics=metrics, zone=zone)
    return one.value, one.record_count


def test_what_another_call_repeats_is_taken_back_once(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    same = UsageRecord("u1", "api_calls", 5, THEN)
    record(same, same)  # twice in one call: may be meant so
    record(same)
    record(UsageRecord("u1", "api_calls", 5, THEN, idempotency_key="k"), UsageRecord("u1", "api_calls", 6, THEN))
    record(UsageRecord("u1", "api_calls", 9))
    record(UsageRecord("u1", "api_calls", 9))  # without a time: another use of the same moment
    for units in (5, 0):
        aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
        with unit_of_work.transaction() as session:
            done = deduplicate_usage(session, user_id="u1", metric=None, period=FEBRUARY, is_dry_run=False, now=NOW)
        assert (done.units, done.reversed_records) == (units, units // 5)
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    with unit_of_work.transaction() as session:
        assert total(session, metrics, utc) == (21, 4)
        assert count_rollup_differences(session, metrics=metrics, zone=utc) == 0


def test_recalculation_mends_every_rollup_and_its_keys(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    record(UsageRecord("u1", "api_calls", 5, THEN), UsageRecord("u1", "active_users", 1, THEN, "a"))
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    with unit_of_work.transaction() as session:
        session.execute(text("UPDATE billing_usage_daily SET sum_value = 99, unique_count = 7"))
        session.execute(text("DELETE FROM billing_usage_uniques WHERE level = 'monthly'"))
    with unit_of_work.transaction() as session:
        done = recalculate_usage(
            session, user_id="u1", metric=None, period=FEBRUARY, metrics=metrics, zone=utc, now=NOW
        )
    assert (done.differing_days, done.buckets_before, done.buckets) == (2, 6, 6)
    record(UsageRecord("u1", "active_users", 1, THEN, "a"), UsageRecord("u1", "active_users", 1, THEN, "b"))
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    with unit_of_work.transaction() as session:
        assert count_rollup_differences(session, metrics=metrics, zone=utc) == 0
        assert total(session, metrics, utc, "active_users") == (2, 3)


def test_lost_records_are_found_in_the_log_once(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    with capture_logs() as lines:
        record(UsageRecord("u1", "api_calls", 5, THEN, idempotency_key="k"), UsageRecord("u1", "api_calls", 2, THEN))
        record(UsageRecord("u2", "api_calls", 8, THEN))
    with unit_of_work.transaction() as session:  # an older backup was restored
        session.execute(text("TRUNCATE billing_usage, billing_usage_batches, billing_usage_claims"))
    for is_dry_run, missing in ((True, 2), (False, 2), (False, 0)):
        with unit_of_work.transaction() as session:
            done = reconstruct_usage(
                session, map(dict, lines), user_id="u1", period=FEBRUARY, is_dry_run=is_dry_run, now=NOW
            )
        assert (done.logged, len(done.missing)) == (2, missing)
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    assert record(UsageRecord("u1", "api_calls", 5, THEN, idempotency_key="k")).duplicates == 1
    with unit_of_work.transaction() as session:
        assert total(session, metrics, utc) == (7, 2)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ArchiveStore]:
    if request.param == "folder":
        yield FolderStore(tmp_path)
        return
    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
        client.create_bucket(Bucket="old")
        yield BucketStore(client, "s3://old/usage")
    finally:
        server.stop()


def test_a_month_is_archived_frozen_and_restored(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo, store: ArchiveStore
) -> None:
    ragged = UsageSpan("u1", "api_calls", Period(THEN + timedelta(seconds=22), THEN + timedelta(days=5, minutes=7)))
    record(UsageRecord("u1", "api_calls", 5, THEN), UsageRecord("u1", "api_calls", 7, THEN + timedelta(minutes=1)))
    record(UsageRecord("u1", "active_users", 1, THEN, "a"), UsageRecord("u2", "api_calls", 1, THEN))

    def archive() -> int:
        months = archive_usage(
            unit_of_work,
            store,
            before=NOW,
            closed_periods=[ragged],
            metrics=metrics,
            zone=utc,
            is_dry_run=False,
        )
        return sum(one.records for one in months)

    with pytest.raises(ArchiveError, match="4 records of 2026-02 are not aggregated"):
        archive()
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    assert archive() == 4
    with unit_of_work.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM billing_usage")).scalar_one() == 0
        assert total(session, metrics, utc) == (12, 2)
        [frozen] = measure_usage(session, [ragged], metrics=metrics, zone=utc)
        assert (frozen.value, frozen.record_count) == (7, 1)
        assert count_rollup_differences(session, metrics=metrics, zone=utc) == 0
    with pytest.raises(ArchivedUsageError), unit_of_work.transaction() as session:
        recalculate_usage(session, user_id="u1", metric=None, period=FEBRUARY, metrics=metrics, zone=utc, now=NOW)
    record(UsageRecord("u1", "active_users", 1, THEN, "a"), UsageRecord("u1", "active_users", 1, THEN, "b"))
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    with unit_of_work.transaction() as session:
        assert total(session, metrics, utc, "active_users") == (2, 3)
    assert archive() == 2  # what came late, beside the first archive
    for restored in (6, 0):
        with unit_of_work.transaction() as session:
            done = restore_usage(
                session, lambda _: store, instant=THEN, user_id=None, period=FEBRUARY, is_dry_run=False
            )
        assert (done.restored, len(done.locations)) == (restored, 2)
    with unit_of_work.transaction() as session:
        assert count_rollup_differences(session, metrics=metrics, zone=utc) == 0
        told = explain_usage(session, UsageSpan("u1", "api_calls", FEBRUARY), metrics=metrics, zone=utc)
        assert (told.total, told.record_count, len(told.records)) == (12, 2, 2)


def test_silence_is_told_apart_by_uptime_and_others_usage(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, record: Recorder, utc: ZoneInfo
) -> None:
    first = NOW - timedelta(days=27)
    hours = [first + timedelta(hours=number) for number in range(27 * 24)]
    silent = Period(first + timedelta(days=20), first + timedelta(days=21))
    record(*[UsageRecord("u1", "api_calls", 1, hour) for hour in hours if not silent.start <= hour < silent.end])
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)

    def verdicts() -> list[Verdict]:
        with unit_of_work.transaction() as session:
            gaps = find_gaps(session, user_id="u1", metric=None, period=Period(first, NOW), zone=utc, now=NOW)
        assert [(gap.start, gap.end) for gap in gaps] == [(silent.start, silent.end)]
        return [gap.verdict for gap in gaps]

    assert verdicts() == [Verdict.UNKNOWN]
    record(UsageRecord("u2", "api_calls", 1, silent.start))
    aggregate_usage(unit_of_work, metrics=metrics, zone=utc)
    assert verdicts() == [Verdict.NO_USAGE]
    with unit_of_work.transaction() as session:
        for start, end in ((first, silent.start + timedelta(hours=1)), (silent.end, NOW - timedelta(minutes=2))):
            session.execute(
                text("INSERT INTO billing_service_heartbeats VALUES ('billing', 'here', :start, :end)"),
                {"start": start, "end": end},
            )
        for seconds in (0, 1, 100):  # the first extends the last interval, the others wait for the next minute
            tell_alive(session, BILLING, instance="here", now=NOW + timedelta(seconds=min(seconds, 50)))
        [uptime] = read_uptime(session, start=first, end=NOW)
        assert len(uptime.outages) == 1
        assert uptime.outages[0].lasted == timedelta(hours=23)
        rows = session.execute(text("SELECT count(*) FROM billing_service_heartbeats")).scalar_one()
    assert rows == 2
    assert verdicts() == [Verdict.METERING_BROKEN]
