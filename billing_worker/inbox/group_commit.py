"""Store deliveries in groups: one commit serves every request that waits while the previous one is being written.

Nobody is told that a delivery is stored before the commit that stores it has returned.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import psycopg2
import structlog
from psycopg2.extensions import TransactionRollbackError
from psycopg2.extensions import connection as psycopg2_connection

from billing_worker.inbox.intake import Delivery, keep_bytes
from billing_worker.inbox.services.store_deliveries import EventKey, StoredDelivery, store_deliveries
from billing_worker.kernel.errors import RetryableError, TerminalError

MAX_GROUP = 500
"""Beyond some hundred rows a statement gets no cheaper per row, while everybody in it waits longer."""

MAX_WAITING = 2_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 1.0
"""While the database is away requests are refused at once; it is tried again within a second of its return."""

CONFLICT_RETRIES = 5
"""A deadlock with a drain that finishes the same events is nobody's fault: tried again at once."""

_UNSTORABLE = (psycopg2.DataError, psycopg2.IntegrityError, ValueError)
"""Errors of a row rather than of the connection; ValueError is psycopg2's for text with NUL or half a surrogate."""

_log = structlog.get_logger(__name__)

Connect = Callable[[], psycopg2_connection]


class NotStoredError(RetryableError):
    """The delivery is not known to be stored: Stripe must send it again.

    Shape: `reason` is the short name in answers, logs and metrics.
    """

    reason = "not_stored"


class BufferFullError(NotStoredError):
    """Too many deliveries wait for their commit already."""

    reason = "buffer_full"


class CommitTimeoutError(NotStoredError):
    """The commit did not come within WEBHOOK_TIMEOUT."""

    reason = "commit_timeout"


class DatabaseAwayError(NotStoredError):
    """PostgreSQL is unreachable or refused the statement."""

    reason = "database_away"


class WriterStalledError(NotStoredError):
    """The group before has waited for PostgreSQL longer than WEBHOOK_TIMEOUT."""

    reason = "database_stalled"


class WriterStoppedError(NotStoredError):
    """The process is stopping, or its writer ended on a bug."""

    reason = "stopped"


@dataclass(frozen=True, slots=True)
class GroupReport:
    """What became of one group.

    Units: `seconds` from taking the group to its commit or failure. Shape: `failure` is '' when it was stored.
    """

    size: int
    seconds: float
    stored: Sequence[StoredDelivery]
    failure: str


class Ticket:
    """One request's place in the buffer."""

    __slots__ = ("delivery", "error", "settle", "stored", "waiter")

    def __init__(self, delivery: Delivery, settle: Settle, waiter: object) -> None:
        self.delivery = delivery
        self.settle = settle
        self.waiter = waiter
        self.stored: StoredDelivery | None = None
        self.error: NotStoredError | None = None

    def result(self) -> StoredDelivery:
        """Return the row after the group has been settled.

        Raises: NotStoredError when there is none.
        """
        if self.stored is None:
            raise self.error or WriterStoppedError("the writer ended without an answer")
        return self.stored


Settle = Callable[[Sequence[Ticket]], None]
"""Called by the writer with those tickets of a group that were submitted with it; must not block or raise."""


class GroupCommit:
    """A bounded buffer and the thread that empties it into PostgreSQL.

    Shape: `connect` gives an autocommit connection, so that a group's single statement is its own transaction and
    costs one round trip; `on_group` is called after each group, by the writer, and must not block.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        timeout: timedelta,
        on_group: Callable[[GroupReport], None],
        max_waiting: int = MAX_WAITING,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self.timeout_seconds = timeout.total_seconds()
        self._on_group = on_group
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._link = _Link(connect)
        self._waiting: deque[Ticket] = deque()
        self._waiting_bytes = 0
        self._writing_since: float | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Count the deliveries that no group has taken yet."""
        return len(self._waiting)

    def store(self, delivery: Delivery) -> StoredDelivery:
        """Wait until a delivery's own row is committed.

        Raises: NotStoredError when it is not, or when it is not known to be; storing it again does no harm.
        """
        done = threading.Event()
        ticket = self.submit(delivery, lambda _: done.set())
        if not done.wait(self.timeout_seconds):
            raise self.abandon(ticket)
        return ticket.result()

    def submit(self, delivery: Delivery, settle: Settle, waiter: object = None) -> Ticket:
        """Put a delivery into the buffer and return at once; `settle` tells when its group is through.

        Raises: NotStoredError when there is no room for it.
        """
        ticket = Ticket(delivery, settle, waiter)
        size = len(delivery.body)
        with self._changed:
            self._check_room(size)
            self._waiting.append(ticket)
            self._waiting_bytes += size
            if self._writer is None or not self._writer.is_alive():  # first use, or a bug ended it: never stay deaf
                self._writer = threading.Thread(target=self._write, name="group-commit", daemon=True)
                self._writer.start()
            self._changed.notify()
        return ticket

    def abandon(self, ticket: Ticket) -> CommitTimeoutError:
        """Take a ticket whose time is up out of the buffer, if no group has it yet, and return the error to answer."""
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self._waiting_bytes -= len(ticket.delivery.body)
        return CommitTimeoutError(f"no commit within {self.timeout_seconds:g} s (WEBHOOK_TIMEOUT)")

    def stop(self, timeout: timedelta) -> None:
        """Take no more deliveries, store those that wait, and end the writer."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._writer is not None:
            self._writer.join(timeout.total_seconds())

    def _check_room(self, size: int) -> None:
        if self._stopping:
            raise WriterStoppedError("this process is stopping")
        if len(self._waiting) >= self._max_waiting or self._waiting_bytes + size > self._max_waiting_bytes:
            raise BufferFullError(f"{len(self._waiting)} deliveries wait already")
        since = self._writing_since
        if since is not None and time.monotonic() - since > self.timeout_seconds:
            # Its own requests have given up; whoever queued behind it would only block a thread of the server.
            raise WriterStalledError("the database has not answered the group before this one")

    def _write(self) -> None:
        try:
            while group := self._take():
                self._commit(group)
        finally:
            self._writing_since = None
            self._link.drop()

    def _take(self) -> list[Ticket]:
        with self._changed:
            self._writing_since = None
            while not self._waiting and not self._stopping:
                self._changed.wait()
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_GROUP))]
            self._waiting_bytes -= sum(len(ticket.delivery.body) for ticket in group)
            if group:
                self._writing_since = time.monotonic()
            return group

    def _commit(self, group: list[Ticket]) -> None:
        started = time.perf_counter()
        failure: NotStoredError | None = WriterStoppedError("the writer failed; its log has the reason")
        stored: dict[EventKey, StoredDelivery] = {}
        try:
            self._store_bisecting(group, stored)
            failure = None
        except NotStoredError as error:
            failure = error
        finally:
            _settle(group, failure)
            self._on_group(
                GroupReport(
                    size=len(group),
                    seconds=time.perf_counter() - started,
                    stored=list(stored.values()),
                    failure="" if failure is None else failure.reason,
                )
            )

    def _store_bisecting(self, group: Sequence[Ticket], stored: dict[EventKey, StoredDelivery]) -> None:
        """Store a group; on a row's error store its halves, so that only the culprit ends in quarantine."""
        try:
            rows = self._link.store([ticket.delivery for ticket in group])
        except _UNSTORABLE as error:
            if len(group) == 1:
                self._quarantine(group[0], error, stored)
                return
            middle = len(group) // 2
            self._store_bisecting(group[:middle], stored)
            self._store_bisecting(group[middle:], stored)
            return
        stored.update(rows)
        for ticket in group:
            ticket.stored = rows[EventKey(ticket.delivery.account_id, ticket.delivery.event_id)]

    def _quarantine(self, ticket: Ticket, error: Exception, stored: dict[EventKey, StoredDelivery]) -> None:
        delivery = ticket.delivery
        detail = f"{delivery.event_id[:100]!a}: {type(error).__name__}"
        kept = keep_bytes(delivery.body, reason="unstorable", detail=detail, source=delivery.source)
        _log.error("webhook_unstorable", event_id=ascii(delivery.event_id[:100]), error=_cause(error))
        try:
            rows = self._link.store([kept])
        except _UNSTORABLE as second:
            raise DatabaseAwayError(f"not even its bytes can be stored: {_cause(second)}") from second
        stored.update(rows)
        ticket.stored = rows[EventKey(kept.account_id, kept.event_id)]


def _settle(group: Sequence[Ticket], failure: NotStoredError | None) -> None:
    parties: dict[Settle, list[Ticket]] = {}
    for ticket in group:
        ticket.error = failure
        parties.setdefault(ticket.settle, []).append(ticket)
    for settle, tickets in parties.items():
        settle(tickets)


class _Link:
    """The writer's own connection, opened when needed and after a growing pause when that fails."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: psycopg2_connection | None = None
        self._retry_at = 0.0
        self._pause_seconds = FIRST_RETRY_SECONDS

    def store(self, deliveries: Sequence[Delivery]) -> dict[EventKey, StoredDelivery]:
        """Run the statement; an error of the connection drops it."""
        connection = self._open()
        try:
            return _store_retrying(connection, deliveries)
        except _UNSTORABLE:
            raise
        except psycopg2.Error as error:
            self.drop()
            raise DatabaseAwayError(_cause(error)) from error

    def drop(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> psycopg2_connection:
        if self._connection is not None and _has_news(self._connection):
            self.drop()  # the server closed it while it was idle: that is no reason to refuse a delivery
        if self._connection is None:
            self._connection = self._reconnect()
        return self._connection

    def _reconnect(self) -> psycopg2_connection:
        if time.monotonic() < self._retry_at:
            raise DatabaseAwayError("the database was unreachable a moment ago")
        try:
            connection = self._connect()
        except (psycopg2.Error, TerminalError) as error:
            self._retry_at = time.monotonic() + self._pause_seconds
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_RETRY_SECONDS)
            _log.warning("intake_database_away", error=_cause(error), pause_seconds=self._pause_seconds)
            raise DatabaseAwayError(_cause(error)) from error
        self._pause_seconds = FIRST_RETRY_SECONDS
        return connection


def _store_retrying(connection: psycopg2_connection, deliveries: Sequence[Delivery]) -> dict[EventKey, StoredDelivery]:
    with connection.cursor() as cursor:
        for _ in range(CONFLICT_RETRIES):
            try:
                return store_deliveries(cursor, deliveries)
            except TransactionRollbackError as error:
                _log.info("intake_conflict", error=_cause(error))
        return store_deliveries(cursor, deliveries)


def _has_news(connection: psycopg2_connection) -> bool:
    """Say whether an idle connection has something to read: between statements that is its end."""
    if connection.closed:
        return True
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def _cause(error: Exception) -> str:
    """Name an error without the row or the statement, which PostgreSQL and its driver quote around it."""
    if isinstance(error, psycopg2.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return " ".join(str(error).split()) or type(error).__name__
