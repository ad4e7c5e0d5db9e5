"""The writer behind the receiver: groups of deliveries go into PostgreSQL, one statement and one commit each."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import psycopg2
import structlog
from psycopg2.extensions import TransactionRollbackError
from psycopg2.extensions import connection as psycopg2_connection

from billing_worker.database.group_commit import DatabaseAwayError, GroupCommit, GroupReport, NotStoredError, Room
from billing_worker.inbox.intake import Delivery, keep_bytes
from billing_worker.inbox.services.store_deliveries import EventKey, StoredDelivery, store_deliveries
from billing_worker.kernel.errors import TerminalError

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
Intake = GroupCommit[Delivery, StoredDelivery]
"""What the receiver hands deliveries to."""


def open_intake(
    connect: Connect,
    *,
    timeout: timedelta,
    on_group: Callable[[GroupReport], None],
    max_waiting: int = MAX_WAITING,
    max_waiting_bytes: int = MAX_WAITING_BYTES,
) -> Intake:
    """Build the room in which deliveries wait for their commit.

    Shape: `connect` gives an autocommit connection, so that a group's single statement is its own transaction and costs
    one round trip.
    """
    link = Link(connect)
    room = Room(MAX_GROUP, max_waiting, timeout, max_waiting_bytes)
    return GroupCommit(lambda group: _store(link, group), room=room, on_group=on_group, on_end=link.drop)


def _store(link: Link, group: Sequence[Delivery]) -> list[StoredDelivery | NotStoredError]:
    """Store a group; on a row's error store its halves, so that only the culprit ends in quarantine."""
    try:
        rows = link.store(group)
    except NotStoredError as error:
        return [error] * len(group)
    except _UNSTORABLE as error:
        if len(group) == 1:
            return [_quarantine(link, group[0], error)]
        middle = len(group) // 2
        return [*_store(link, group[:middle]), *_store(link, group[middle:])]
    return [rows[EventKey(delivery.account_id, delivery.event_id)] for delivery in group]


def _quarantine(link: Link, delivery: Delivery, error: Exception) -> StoredDelivery | NotStoredError:
    detail = f"{delivery.event_id[:100]!a}: {type(error).__name__}"
    kept = keep_bytes(delivery.body, reason="unstorable", detail=detail, source=delivery.source)
    _log.error("webhook_unstorable", event_id=ascii(delivery.event_id[:100]), error=_cause(error))
    try:
        return link.store([kept])[EventKey(kept.account_id, kept.event_id)]
    except NotStoredError as second:
        return second
    except _UNSTORABLE as second:
        return DatabaseAwayError(f"not even its bytes can be stored: {_cause(second)}")


class Link:
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
