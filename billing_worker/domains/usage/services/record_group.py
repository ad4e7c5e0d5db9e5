"""Record the calls of several senders in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from psycopg2 import errors as postgres
from sqlalchemy.exc import DBAPIError

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.record_usage import RecordOutcome, RefusedRecord, record_usage
from billing_worker.domains.usage.states import Unknown

CONFLICT_RETRIES = 5
"""Two groups with the same keys from several senders may meet crosswise: nobody's fault, tried again at once."""


@dataclass(frozen=True, slots=True)
class UsageCall:
    """What one sender sent at once.

    Shape: `used_at` are the times of records that say none themselves (default: when they are recorded).
    """

    records: Sequence[UsageRecord]
    source: str
    used_at: Sequence[datetime] | None = None


def record_group(
    unit_of_work: UnitOfWork, calls: Sequence[UsageCall], *, metrics: MetricCatalog, unknown: Unknown
) -> list[RecordOutcome]:
    """Record every call, all or none, and return what became of each.

    Phases: one transaction. Order: calls of one sender become one batch, in their order.
    Raises: DBAPIError when nothing was recorded, or when that is not known.
    """
    now = unit_of_work.now()
    for attempt in range(CONFLICT_RETRIES + 1):
        try:
            return _record(unit_of_work, calls, metrics=metrics, unknown=unknown, now=now)
        except DBAPIError as error:
            if attempt == CONFLICT_RETRIES or not isinstance(error.orig, postgres.DeadlockDetected):
                raise
    raise AssertionError("unreachable: the last conflict was raised")


def _record(
    unit_of_work: UnitOfWork, calls: Sequence[UsageCall], *, metrics: MetricCatalog, unknown: Unknown, now: datetime
) -> list[RecordOutcome]:
    by_source: dict[str, list[int]] = {}
    for position, call in enumerate(calls):
        by_source.setdefault(call.source, []).append(position)
    outcomes: dict[int, RecordOutcome] = {}
    with unit_of_work.transaction() as session:
        for source, positions in by_source.items():
            own = [calls[position] for position in positions]
            whole = record_usage(
                session,
                list(chain.from_iterable(call.records for call in own)),
                metrics=metrics,
                source=source,
                now=now,
                unknown=unknown,
                used_at=_times(own, now),
            )
            outcomes |= zip(positions, _split(whole, [len(call.records) for call in own]), strict=True)
    return [outcomes[position] for position in range(len(calls))]


def _times(calls: Sequence[UsageCall], now: datetime) -> list[datetime] | None:
    if all(call.used_at is None for call in calls):
        return None
    return list(chain.from_iterable(call.used_at or [now] * len(call.records) for call in calls))


def _split(whole: RecordOutcome, sizes: Sequence[int]) -> Iterator[RecordOutcome]:
    """Give each call its part of an outcome, with positions of its own."""
    start = 0
    for size in sizes:
        span = range(start, start + size)
        refused = [RefusedRecord(one.index - start, one.error) for one in whole.refused if one.index in span]
        duplicates = frozenset(index - start for index in whole.duplicate_indexes if index in span)
        accepted = size - len(refused) - len(duplicates)
        yield RecordOutcome(
            batch_id=whole.batch_id if accepted else None,
            accepted=accepted,
            duplicates=len(duplicates),
            refused=tuple(refused),
            duplicate_indexes=duplicates,
            held=tuple((index - start, reason) for index, reason in whole.held if index in span),
        )
        start += size
