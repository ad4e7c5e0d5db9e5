"""The buffered way in: Redis takes the records when it can, PostgreSQL when it cannot."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.buffer import UsageBuffer, with_keys
from billing_worker.domains.usage.errors import UnknownMetricError, UsageKeyConflictError
from billing_worker.domains.usage.rules import MetricCatalog, check_record, payload_hash
from billing_worker.domains.usage.services.record_group import UsageCall
from billing_worker.domains.usage.services.record_usage import RefusedRecord
from billing_worker.domains.usage.states import Unknown
from billing_worker.worker.queues import USAGE
from billing_worker.worker.wake import Waker

FLUSH_TASK = "usage.flush_buffer"
OFFSET_SECONDS = 30
"""How long this process believes the distance between its own clock and the billing clock."""

_log = structlog.get_logger(__name__)


class BufferFullError(Exception):
    """The buffer holds USAGE_BUFFER_SIZE records already."""


class RedisAwayError(Exception):
    """Redis did not take the call, or did not say so: it must go to PostgreSQL under the same keys."""


@dataclass
class BillingTime:
    """The billing time without a round trip: the own clock, put right against the database's now and then."""

    unit_of_work: UnitOfWork
    offset: timedelta = timedelta(0)
    read_at: float = field(default=float("-inf"))

    def now(self) -> datetime:
        """Return the billing time; the last known distance counts while PostgreSQL is away."""
        if time.monotonic() - self.read_at > OFFSET_SECONDS:
            self.read_at = time.monotonic()
            try:
                self.offset = self.unit_of_work.now() - datetime.now(UTC)
            except SQLAlchemyError as error:
                _log.warning("billing_time_unread", error=" ".join(str(error).split())[:200])
        return datetime.now(UTC) + self.offset


@dataclass(frozen=True)
class BufferedIntake:
    """Checks what can be checked without the database, appends to the buffer, wakes the collector."""

    buffer: UsageBuffer
    waker: Waker
    metrics: MetricCatalog
    unknown: Unknown
    clock: BillingTime

    def keyed(self, call: UsageCall) -> UsageCall:
        """Give every record a key, under which it counts once however it gets in."""
        return UsageCall(with_keys(call.records), call.source)

    def add(self, call: UsageCall) -> list[RefusedRecord]:
        """Buffer the records that are right and return the others.

        Raises: BufferFullError; RedisAwayError.
        """
        now = self.clock.now()
        refused: list[RefusedRecord] = []
        good = []
        hashes: dict[str, str] = {}
        for index, record in enumerate(call.records):
            error = check_record(record, self.metrics, now)
            if isinstance(error, UnknownMetricError) and self.unknown is Unknown.HOLD:
                error = None
            if error is None:
                key, content = record.idempotency_key or "", payload_hash(record)
                if hashes.setdefault(key, content) != content:
                    error = UsageKeyConflictError(key)
            if error is None:
                good.append(record)
            else:
                refused.append(RefusedRecord(index, error))
        if good:
            self._append(UsageCall(good, call.source))
        return refused

    def _append(self, call: UsageCall) -> None:
        try:
            fits = self.buffer.add(call.records, source=call.source)
        except RedisError as error:
            _log.warning("usage_buffer_away", error=" ".join(str(error).split())[:200])
            raise RedisAwayError from error
        if not fits:
            raise BufferFullError
        self.waker.wake_task(FLUSH_TASK, queue=USAGE)
