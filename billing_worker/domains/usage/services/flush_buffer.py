"""Flush the Redis buffer into PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import structlog
from sqlalchemy.exc import DataError

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.buffer import BufferedCall, UsageBuffer
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.domains.usage.services.hold_refused import HeldRecord, hold_refused
from billing_worker.domains.usage.services.record_usage import RecordOutcome, record_usage
from billing_worker.domains.usage.states import Unknown

CALLS_PER_GROUP = 20
"""Ten thousand records when they come in batches of 500."""

LONGEST_RUN_SECONDS = 5.0
"""Then the collector looks after aggregation before it goes on."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What a flush did; `unfinished` when its time was over before the buffer was empty."""

    calls: int
    records: int
    duplicates: int
    held: int
    unreadable: int
    unfinished: bool


def flush_buffer(
    unit_of_work: UnitOfWork,
    buffer: UsageBuffer,
    *,
    metrics: MetricCatalog,
    longest_seconds: float = LONGEST_RUN_SECONDS,
) -> FlushReport:
    """Record buffered calls, oldest first, until the buffer is empty or the time is over.

    Phases: read; one transaction per group; remove from the buffer.
    Idempotent by: every buffered record has a key, so a group that was recorded before a crash is found again.
    Raises: RedisError and DBAPIError; whatever was not removed is flushed next time.
    """
    calls = records = duplicates = held = unreadable = 0
    started = time.monotonic()
    while time.monotonic() - started < longest_seconds:
        group = buffer.read(calls=CALLS_PER_GROUP)
        if not group:
            return FlushReport(calls, records, duplicates, held, unreadable, unfinished=False)
        readable = [call for call in group if call.records is not None]
        for call in group:
            if call.records is None:
                _set_aside(buffer, call, "it is not of the shape this release writes")
                unreadable += 1
        for outcome, done in _record(unit_of_work, buffer, readable, metrics):
            buffer.remove(done)
            calls += len(done)
            records += outcome.accepted
            duplicates += outcome.duplicates
            held += len(outcome.held) + len(outcome.refused)
    return FlushReport(calls, records, duplicates, held, unreadable, unfinished=True)


def _record(
    unit_of_work: UnitOfWork, buffer: UsageBuffer, group: Sequence[BufferedCall], metrics: MetricCatalog
) -> list[tuple[RecordOutcome, Sequence[BufferedCall]]]:
    """Record a group; when PostgreSQL cannot store it, its halves, until the culprit is alone."""
    if not group:
        return []
    try:
        return [(_record_together(unit_of_work, group, metrics), group)]
    except DataError as error:
        if len(group) == 1:
            _set_aside(buffer, group[0], str(error.orig))
            return []
        middle = len(group) // 2
        return [
            *_record(unit_of_work, buffer, group[:middle], metrics),
            *_record(unit_of_work, buffer, group[middle:], metrics),
        ]


def _record_together(unit_of_work: UnitOfWork, group: Sequence[BufferedCall], metrics: MetricCatalog) -> RecordOutcome:
    now = unit_of_work.now()
    records = list(chain.from_iterable(call.records or () for call in group))
    used_at = list(chain.from_iterable([now - call.age] * call.record_count for call in group))
    source = ",".join(sorted({call.source for call in group}))
    with unit_of_work.transaction() as session:
        outcome = record_usage(
            session, records, metrics=metrics, source=source, now=now, unknown=Unknown.HOLD, used_at=used_at
        )
        refused = [HeldRecord(records[one.index], used_at[one.index], one.error) for one in outcome.refused]
        hold_refused(session, refused, source=source, now=now)
    return outcome


def _set_aside(buffer: UsageBuffer, call: BufferedCall, problem: str) -> None:
    buffer.set_aside(call)
    _log.error("usage_buffer_unreadable", entry=call.entry_id, records=call.record_count, error=problem)
