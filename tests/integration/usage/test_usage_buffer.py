"""The Redis buffer: bounded, flushed exactly once whatever dies between two steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.buffer import STREAM, BufferedCall, UsageBuffer, with_keys
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.flush_buffer import flush_buffer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class CrashError(Exception):
    pass


class DyingBuffer(UsageBuffer):
    """Dies after PostgreSQL has committed, before Redis is told."""

    def remove(self, calls: Sequence[BufferedCall]) -> None:  # noqa: ARG002 - the method's shape
        raise CrashError


@pytest.fixture
def buffer(redis: Redis) -> UsageBuffer:
    return UsageBuffer(redis, capacity=10)


def keyed(*numbers: int, value: int = 1) -> list[UsageRecord]:
    return [UsageRecord("user123", "api_calls", value, None, None, f"k{number}") for number in numbers]


def recorded(session: Session) -> list[tuple[str, int]]:
    statement = text("SELECT idempotency_key, value FROM billing_usage ORDER BY idempotency_key")
    return [(key, value) for key, value in session.execute(statement)]


def test_the_buffer_is_bounded_by_records_and_empties_in_order(
    buffer: UsageBuffer, unit_of_work: UnitOfWork, metrics: MetricCatalog, session: Session
) -> None:
    assert [buffer.add(keyed(*numbers), source="t") for numbers in (range(6), range(6, 10), [10])] == [
        True,
        True,
        False,
    ]
    assert (buffer.standing().records, buffer.standing().capacity) == (10, 10)
    report = flush_buffer(unit_of_work, buffer, metrics=metrics)
    assert (report.calls, report.records, report.duplicates, report.held, report.unfinished) == (2, 10, 0, 0, False)
    assert (buffer.standing().records, len(recorded(session))) == (0, 10)
    assert buffer.add(keyed(*range(20)), source="t"), "a call larger than the whole buffer fits an empty one"


def test_a_crash_after_the_commit_counts_nothing_twice(
    redis: Redis, buffer: UsageBuffer, unit_of_work: UnitOfWork, metrics: MetricCatalog, session: Session
) -> None:
    buffer.add(with_keys([UsageRecord("user123", "api_calls", 5), *keyed(1)]), source="t")
    for _ in range(2):
        with pytest.raises(CrashError):
            flush_buffer(unit_of_work, DyingBuffer(redis, capacity=10), metrics=metrics)
    report = flush_buffer(unit_of_work, buffer, metrics=metrics)
    assert (report.records, report.duplicates) == (0, 2)
    assert sorted(value for _, value in recorded(session)) == [1, 5]
    assert redis.xlen(STREAM) == 0


def test_what_was_acknowledged_and_cannot_count_is_held_once(
    redis: Redis, buffer: UsageBuffer, unit_of_work: UnitOfWork, metrics: MetricCatalog, session: Session
) -> None:
    buffer.add(keyed(1), source="t")
    flush_buffer(unit_of_work, buffer, metrics=metrics)
    buffer.add([*keyed(1, value=9), UsageRecord("user123", "gone", 3, None, None, "k2")], source="t")
    with pytest.raises(CrashError):
        flush_buffer(unit_of_work, DyingBuffer(redis, capacity=10), metrics=metrics)
    assert flush_buffer(unit_of_work, buffer, metrics=metrics).duplicates == 1
    held = session.execute(text("SELECT value, reason FROM billing_usage_held ORDER BY value"))
    assert [tuple(row) for row in held] == [(3, "unknown_metric"), (9, "key_conflict")]
    assert recorded(session) == [("k1", 1)]


def test_the_time_of_use_is_when_it_was_buffered_on_the_billing_clock(
    redis: Redis, buffer: UsageBuffer, unit_of_work: UnitOfWork, metrics: MetricCatalog, session: Session
) -> None:
    seconds, _ = redis.time()
    content = '[["user123","api_calls",1,null,null,"old"],["user123","api_calls",1,"2026-02-01T00:00:00Z",null,"said"]]'
    redis.xadd(STREAM, {"n": 2, "s": "t", "r": content}, id=f"{(seconds - 3600) * 1000}-0")
    flush_buffer(unit_of_work, buffer, metrics=metrics)
    found = session.execute(text("SELECT idempotency_key, created_at FROM billing_usage"))
    rows = {str(key): used_at for key, used_at in found}
    assert rows["said"] == datetime(2026, 2, 1, tzinfo=UTC)
    assert timedelta(minutes=59) < NOW - rows["old"] < timedelta(minutes=61)


def test_an_entry_that_nobody_can_read_blocks_no_other(
    redis: Redis, buffer: UsageBuffer, unit_of_work: UnitOfWork, metrics: MetricCatalog, session: Session
) -> None:
    redis.xadd(STREAM, {"r": "{"})
    buffer.add(keyed(1), source="t")
    report = flush_buffer(unit_of_work, buffer, metrics=metrics)
    assert (report.unreadable, report.records) == (1, 1)
    assert (buffer.standing().unreadable, recorded(session)) == (1, [("k1", 1)])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2)), min_size=1, max_size=4),
            st.sampled_from(["flush", "crash"]),
        ),
        max_size=8,
    )
)
def test_any_retries_and_crashes_count_each_key_once_with_what_was_sent_first(
    redis: Redis,
    unit_of_work: UnitOfWork,
    metrics: MetricCatalog,
    session: Session,
    steps: list[list[tuple[int, int]] | str],
) -> None:
    session.execute(text("TRUNCATE billing_usage, billing_usage_batches, billing_usage_claims, billing_usage_held"))
    session.commit()
    redis.flushdb()
    buffer = UsageBuffer(redis, capacity=1000)
    first: dict[str, int] = {}
    conflicts: set[tuple[str, int]] = set()
    for step in [*steps, "flush"]:
        if step == "crash" and redis.xlen(STREAM):
            with pytest.raises(CrashError):
                flush_buffer(unit_of_work, DyingBuffer(redis, capacity=1000), metrics=metrics)
        elif isinstance(step, str):
            flush_buffer(unit_of_work, buffer, metrics=metrics)
        else:
            buffer.add([UsageRecord("u", "api_calls", value, None, None, f"k{key}") for key, value in step], source="t")
            for key, value in step:
                if first.setdefault(f"k{key}", value) != value:
                    conflicts.add((f"k{key}", value))
    assert dict(recorded(session)) == first
    assert len(recorded(session)) == len(first)
    held = session.execute(text("SELECT idempotency_key, value FROM billing_usage_held"))
    assert sorted((key, value) for key, value in held) == sorted(conflicts)
    session.rollback()
