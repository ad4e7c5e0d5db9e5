from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.errors import InvalidUsageError, UnknownMetricError, UsageKeyConflictError
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.record_usage import RecordOutcome, record_usage
from billing_worker.kernel.clock import FixedClock
from tests.integration.usage.conftest import Recorder


class CrashError(Exception):
    pass


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def usage_rows(session: Session) -> list[tuple[object, ...]]:
    statement = text("SELECT user_id, metric_type, value, created_at, recorded_at FROM billing_usage ORDER BY id")
    return [tuple(row) for row in session.execute(statement)]


def count(session: Session, table: str) -> int:
    return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608 - test constant


def test_one_call_is_one_batch_with_its_rows(record: Recorder, session: Session) -> None:
    used_at = NOW - timedelta(days=40, minutes=3)
    outcome = record(UsageRecord("user123", "api_calls", 2), UsageRecord("u/2", "storage_gb", 7, created_at=used_at))
    assert (outcome.accepted, outcome.duplicates, outcome.refused) == (2, 0, ())
    assert usage_rows(session) == [
        ("user123", "api_calls", 2, NOW, NOW),
        ("u/2", "storage_gb", 7, used_at, NOW),
    ]
    batch = session.execute(text("SELECT * FROM billing_usage_batches")).one()._asdict()
    assert batch == {
        "id": outcome.batch_id,
        "source": "test",
        "record_count": 2,
        "first_at": used_at,
        "last_at": NOW,
        "accepted_at": NOW,
        "aggregated_at": None,
    }


def test_same_key_and_payload_counts_once_even_when_retried_later(
    record: Recorder, session: Session, clock: FixedClock
) -> None:
    one = UsageRecord("user123", "api_calls", 2, idempotency_key="k1")
    assert record(one, one).duplicates == 1
    clock.advance(timedelta(days=2))
    again = record(one)
    assert (again.batch_id, again.accepted, again.duplicates, again.refused) == (None, 0, 1, ())
    assert usage_rows(session) == [("user123", "api_calls", 2, NOW, NOW)]
    assert count(session, "billing_usage_batches") == 1


@pytest.mark.parametrize(
    "other",
    [
        UsageRecord("user123", "api_calls", 3, idempotency_key="k1"),
        UsageRecord("user124", "api_calls", 2, idempotency_key="k1"),
        UsageRecord("user123", "tokens", 2, idempotency_key="k1"),
        UsageRecord("user123", "api_calls", 2, created_at=NOW, idempotency_key="k1"),
    ],
)
def test_same_key_with_another_payload_is_a_conflict_and_spares_its_neighbours(
    record: Recorder, session: Session, other: UsageRecord
) -> None:
    record(UsageRecord("user123", "api_calls", 2, idempotency_key="k1"))
    outcome = record(other, UsageRecord("user9", "api_calls", 1))
    assert outcome.accepted == 1
    [refused] = outcome.refused
    assert refused.index == 0
    assert isinstance(refused.error, UsageKeyConflictError)
    assert "'k1'" in str(refused.error)
    assert [row[0] for row in usage_rows(session)] == ["user123", "user9"]


def test_conflict_inside_one_call_keeps_the_first(record: Recorder, session: Session) -> None:
    outcome = record(
        UsageRecord("a", "api_calls", 1, idempotency_key="k"), UsageRecord("a", "api_calls", 2, idempotency_key="k")
    )
    assert (outcome.accepted, [one.index for one in outcome.refused]) == (1, [1])
    assert [row[2] for row in usage_rows(session)] == [1]


def test_keys_of_different_scopes_do_not_meet(unit_of_work: UnitOfWork, metrics: MetricCatalog) -> None:
    one = UsageRecord("a", "api_calls", 1, idempotency_key="k")
    accepted = []
    for scope in ("shop", "forum", "shop"):
        with unit_of_work.transaction() as session:
            outcome = record_usage(session, [one], metrics=metrics, source="test", now=NOW, scope=scope)
            accepted.append(outcome.accepted)
    assert accepted == [1, 1, 0]


def test_bad_records_are_refused_one_by_one(record: Recorder, session: Session) -> None:
    outcome = record(
        UsageRecord("a", "apicalls", 1),
        UsageRecord("a", "api_calls", 1.5),  # type: ignore[arg-type] # what JSON would bring
        UsageRecord("a", "api_calls", -1),
        UsageRecord("", "api_calls", 1),
        UsageRecord("a\n", "api_calls", 1),
        UsageRecord("a", "api_calls", 2**63),
        UsageRecord("a", "active_users", 1),
        UsageRecord("a", "api_calls", 1, unique_key="x"),
        UsageRecord("a", "api_calls", 1, created_at=NOW + timedelta(minutes=6)),
        UsageRecord("a", "api_calls", 1, created_at=datetime(2026, 1, 1)),  # noqa: DTZ001 - the mistake under test
        UsageRecord("good", "api_calls", 1),
    )
    assert outcome.accepted == 1
    assert [one.index for one in outcome.refused] == list(range(10))
    assert isinstance(outcome.refused[0].error, UnknownMetricError)
    assert (
        str(outcome.refused[0].error)
        == "unknown metric 'apicalls'; known metrics: active_users, api_calls, seats, storage_gb, tokens"
    )
    assert "Invalid integer: 1.5" in str(outcome.refused[1].error)
    assert all(isinstance(one.error, InvalidUsageError) for one in outcome.refused[1:])
    assert [row[0] for row in usage_rows(session)] == ["good"]


def test_a_key_is_free_again_when_its_transaction_fails(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, session: Session, record: Recorder
) -> None:
    one = UsageRecord("a", "api_calls", 1, idempotency_key="k")
    with contextlib.suppress(CrashError), unit_of_work.transaction() as doomed:
        assert record_usage(doomed, [one], metrics=metrics, source="test", now=NOW).accepted == 1
        raise CrashError
    assert count(session, "billing_usage_claims") == 0
    assert record(one).accepted == 1
    assert count(session, "billing_usage") == 1


def test_racing_calls_with_the_same_keys_in_opposite_order_count_each_once(
    unit_of_work: UnitOfWork, metrics: MetricCatalog, session: Session
) -> None:
    keyed = [UsageRecord("a", "api_calls", 1, idempotency_key=f"k{n}") for n in range(200)]
    barrier = threading.Barrier(4)

    def call(number: int) -> RecordOutcome:
        records = keyed if number % 2 else keyed[::-1]
        with unit_of_work.transaction() as mine:
            barrier.wait(timeout=30)
            return record_usage(mine, records, metrics=metrics, source="test", now=NOW)

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(call, range(4)))
    assert sum(outcome.accepted for outcome in outcomes) == 200
    assert sum(outcome.duplicates for outcome in outcomes) == 600
    assert count(session, "billing_usage") == 200


def test_texts_survive_the_copy(record: Recorder, session: Session) -> None:
    odd = "\\N a\\tb ü 😀"
    record(UsageRecord(odd, "active_users", unique_key="\\."))
    assert session.execute(text("SELECT user_id, unique_key FROM billing_usage")).one() == (odd, "\\.")
