"""Held records, late records of closed periods, keys over weeks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.rules import Metric, MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.prune_claims import prune_claims
from billing_worker.domains.usage.services.record_group import UsageCall, record_group
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.domains.usage.services.release_held import ReleaseReport, release_held
from billing_worker.domains.usage.states import Formula, Unknown
from billing_worker.kernel.clock import FixedClock
from tests.integration.usage.conftest import Recorder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def scalar(session: Session, statement: str) -> int:
    return int(session.execute(text(statement)).scalar_one())


def with_metric(metrics: MetricCatalog, name: str) -> MetricCatalog:
    return MetricCatalog([*metrics, Metric(name, "", Formula.SUM, "unit")])


def test_held_records_count_once_their_user_and_metric_are_known(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, session: Session, clock: FixedClock
) -> None:
    session.execute(text("INSERT INTO auth.users (id) VALUES ('known')"))
    session.commit()
    records = [
        UsageRecord("late", "api_calls", 1, None, None, "k1"),
        UsageRecord("known", "new", 2, None, None, "k2"),
        UsageRecord("known", "api_calls", 4, None, None, "k3"),
    ]
    for expected in (3, 0):
        with unit_of_work.transaction() as mine:
            outcome = record_usage(mine, records, metrics=metrics, source="t", now=NOW, unknown=Unknown.HOLD)
        assert (outcome.accepted, outcome.duplicates) == (expected, 3 - expected)
    clock.advance(timedelta(hours=1))
    assert release_held(unit_of_work, metrics=metrics) == ReleaseReport(released=0, waiting=2, refused=0)
    session.execute(text("INSERT INTO auth.users (id) VALUES ('late')"))
    session.commit()
    assert release_held(unit_of_work, metrics=metrics) == ReleaseReport(released=1, waiting=1, refused=0)
    assert release_held(unit_of_work, metrics=with_metric(metrics, "new")) == ReleaseReport(1, 0, 0)
    assert release_held(unit_of_work, metrics=with_metric(metrics, "new")) == ReleaseReport(0, 0, 0)
    rows = session.execute(text("SELECT user_id, metric_type, value, created_at FROM billing_usage ORDER BY value"))
    assert [tuple(row) for row in rows] == [
        ("late", "api_calls", 1, NOW),
        ("known", "new", 2, NOW),
        ("known", "api_calls", 4, NOW),
    ]
    assert scalar(session, "SELECT count(*) FROM billing_usage_held") == 0


def test_a_refused_record_leaves_its_key_free(record: Recorder, session: Session) -> None:
    wrong, right = UsageRecord("a", "apicalls", 1, None, None, "k"), UsageRecord("a", "api_calls", 1, None, None, "k")
    assert [record(wrong, wrong).accepted, record(wrong, right).accepted, record(right).duplicates] == [0, 1, 1]
    assert scalar(session, "SELECT count(*) FROM billing_usage") == 1


def test_late_records_of_a_closed_period_become_adjustments_once(record: Recorder, session: Session) -> None:
    session.execute(
        text(
            "INSERT INTO billing_usage_periods (user_id, metric_type, period_start, period_end, total, record_count, "
            "records_sha256, frozen_at) "
            "VALUES ('a', 'api_calls', '2026-02-01Z', '2026-03-01Z', 0, 0, '', '2026-03-01Z')"
        )
    )
    session.commit()
    inside = [datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 28, 23, 59, tzinfo=UTC)]
    outside = [datetime(2026, 1, 31, 23, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]
    records = [UsageRecord("a", "api_calls", 3, at, None, at.isoformat()) for at in inside + outside]
    records.append(UsageRecord("b", "api_calls", 3, inside[0], None, "other user"))
    assert [record(*records).accepted, record(*records).duplicates] == [5, 5]
    assert scalar(session, "SELECT count(*) FROM billing_usage") == 3
    rows = session.execute(
        text("SELECT user_id, period_start, value, usage_at FROM billing_usage_adjustments ORDER BY usage_at")
    )
    assert [tuple(row) for row in rows] == [("a", inside[0], 3, at) for at in inside]
    assert record(UsageRecord("a", "api_calls", 1, inside[0])).accepted == 1
    assert scalar(session, "SELECT sum(value) FROM billing_usage_adjustments") == 7


def test_a_key_is_honoured_for_35_days_and_across_months(
    record: Recorder, unit_of_work: UnitOfWork, clock: FixedClock, session: Session
) -> None:
    one = UsageRecord("a", "api_calls", 1, NOW, None, "k")
    assert record(one).accepted == 1
    clock.advance(timedelta(days=35))
    assert prune_claims(unit_of_work, now=clock.now()) == 0
    assert record(one).duplicates == 1
    record(UsageRecord("a", "api_calls", 1, None, None, "young"))
    clock.advance(timedelta(days=2))
    assert prune_claims(unit_of_work, now=clock.now()) == 1
    assert scalar(session, "SELECT count(*) FROM billing_usage_claims") == 1
    assert scalar(session, "SELECT count(*) FROM billing_usage") == 2


def test_every_accepted_record_is_in_the_log(record: Recorder, session: Session) -> None:
    with capture_logs() as logs:
        record(
            UsageRecord("u\\1", "api_calls", 2, None, None, "k1"),
            UsageRecord("u\\1", "api_calls", 2, None, None, "k1"),
            UsageRecord("b", "active_users", 1, NOW - timedelta(days=1), "v"),
            UsageRecord("b", "nothing", 1),
        )
    [line] = [line for line in logs if line["event"] == "usage_recorded"]
    digest = sha256(b"k1").hexdigest()[:32]
    ids = session.execute(text("SELECT id, batch_id FROM billing_usage ORDER BY id")).all()
    assert line["records"] == [
        (ids[0].id, "u\\1", "api_calls", 2, "2026-03-01T12:00:00+00:00", None, digest),
        (ids[1].id, "b", "active_users", 1, "2026-02-28T12:00:00+00:00", "v", None),
    ]
    assert (line["batch_id"], line["accepted"], line["duplicates"], line["refused"]) == (ids[0].batch_id, 2, 1, 1)
    assert "k1" not in str(line)


def test_groups_with_the_same_keys_from_many_senders_count_each_once(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, session: Session
) -> None:
    keyed = [UsageRecord("a", "api_calls", 1, None, None, f"k{n}") for n in range(300)]
    barrier = threading.Barrier(4)

    def send(number: int) -> int:
        records = keyed if number % 2 else keyed[::-1]
        # two senders per group, in opposite order: transactions that lock crosswise
        calls = [UsageCall(records[:150], f"s{number % 2}"), UsageCall(records[150:], f"s{1 - number % 2}")]
        barrier.wait(timeout=30)
        outcomes = record_group(unit_of_work, calls, metrics=metrics, unknown=Unknown.REFUSE)
        assert all(outcome.accepted + outcome.duplicates == 150 for outcome in outcomes)
        return sum(outcome.accepted for outcome in outcomes)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(send, range(4))) == 300
    assert scalar(session, "SELECT count(*) FROM billing_usage") == 300


@pytest.mark.parametrize(
    ("id_type", "known", "strangers"),
    [
        ("uuid", "9b2f6c1e-0000-4000-8000-000000000001", ("user123", "9b2f6c1e-0000-4000-8000-000000000002")),
        ("bigint", "17", ("user123", "18", "99999999999999999999", "017")),
    ],
)
def test_users_are_found_whatever_the_type_of_their_id(
    record: Recorder,
    session: Session,
    id_type: str,
    known: str,
    strangers: tuple[str, ...],
    as_owner: Callable[[str], None],
) -> None:
    as_owner(f"ALTER TABLE auth.users ALTER id TYPE {id_type} USING id::{id_type}")
    session.execute(text(f"INSERT INTO auth.users (id) VALUES ('{known}')"))  # noqa: S608 - test constants
    session.commit()
    try:
        outcome = record(*[UsageRecord(user, "api_calls", 1) for user in (known, *strangers)])
        assert (outcome.accepted, [one.index for one in outcome.refused]) == (1, list(range(1, len(strangers) + 1)))
    finally:
        session.rollback()
        session.execute(text("DELETE FROM auth.users"))
        session.commit()
        as_owner("ALTER TABLE auth.users ALTER id TYPE text")
