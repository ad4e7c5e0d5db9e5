"""Write in groups: one commit serves every request that waits while the previous one is being written.

Nobody is told that an item is stored before the commit that stores it has returned.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from billing_worker.kernel.errors import RetryableError

Item = TypeVar("Item")
Result = TypeVar("Result")


class NotStoredError(RetryableError):
    """The item is not known to be stored: send it again under the same key.

    Shape: `reason` is the short name in answers, logs and metrics.
    """

    reason = "not_stored"


class RoomFullError(NotStoredError):
    """Too much waits for its commit already."""

    reason = "buffer_full"


class CommitTimeoutError(NotStoredError):
    """The commit did not come in time."""

    reason = "commit_timeout"


class DatabaseAwayError(NotStoredError):
    """PostgreSQL is unreachable or refused the statement."""

    reason = "database_away"


class WriterStoppedError(NotStoredError):
    """The process is stopping, or its writer ended on a bug."""

    reason = "stopped"


@dataclass(frozen=True, slots=True)
class GroupReport:
    """What became of one group.

    Units: `size` in the items' own weight, `seconds` from taking the group to its commit or failure. Shape: `failure`
    is '' when it was stored.
    """

    size: int
    seconds: float
    failure: str


class Ticket(Generic[Item, Result]):
    """One caller's place in the room."""

    __slots__ = ("done", "error", "item", "result", "weight")

    def __init__(self, item: Item, weight: int) -> None:
        self.item = item
        self.weight = weight
        self.done = threading.Event()
        self.result: Result | None = None
        self.error: NotStoredError | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """How much may wait and how much goes into one commit, in the items' own weight.

    Units: `timeout` is the longest wait for a commit.
    """

    max_group: int
    max_waiting: int
    timeout: timedelta


class GroupCommit(Generic[Item, Result]):
    """A bounded waiting room and the thread that empties it into PostgreSQL.

    Shape: `store` commits a group in one transaction and returns one result per item, or raises NotStoredError with
    nothing committed; `on_group` is called after each group, by the writer, and must not block.
    """

    def __init__(
        self,
        store: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        room: Room,
        on_group: Callable[[GroupReport], None],
    ) -> None:
        self._store = store
        self._room = room
        self._on_group = on_group
        self._queue: deque[Ticket[Item, Result]] = deque()
        self._weight = 0
        self._writing_since: float | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Weigh what no group has taken yet."""
        return self._weight

    def store(self, item: Item, *, weight: int = 1) -> Result:
        """Wait until an item is committed.

        Raises: NotStoredError when it is not, or when it is not known to be.
        """
        ticket = self._enqueue(item, weight)
        if not ticket.done.wait(self._room.timeout.total_seconds()):
            self._abandon(ticket)
            raise CommitTimeoutError(f"no commit within {self._room.timeout.total_seconds():g} s")
        if ticket.result is None:
            raise ticket.error or WriterStoppedError("the writer ended without an answer")
        return ticket.result

    def stop(self, timeout: timedelta) -> None:
        """Take no more items, store those that wait, and end the writer."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            writer = self._writer
        if writer is not None:
            writer.join(timeout.total_seconds())

    def _enqueue(self, item: Item, weight: int) -> Ticket[Item, Result]:
        ticket: Ticket[Item, Result] = Ticket(item, weight)
        with self._changed:
            self._check_room(weight)
            self._queue.append(ticket)
            self._weight += weight
            if self._writer is None:
                self._start_writer()
            self._changed.notify()
        return ticket

    def _start_writer(self) -> None:
        self._writer = threading.Thread(target=self._write, name="group-commit", daemon=True)
        self._writer.start()

    def _check_room(self, weight: int) -> None:
        if self._stopping:
            raise WriterStoppedError("this process is stopping")
        if self._queue and self._weight + weight > self._room.max_waiting:
            raise RoomFullError(f"{self._weight} records wait already")
        since = self._writing_since
        if since is not None and time.monotonic() - since > self._room.timeout.total_seconds():
            # Its own callers have given up; whoever queued behind it would only block a thread of the server.
            raise DatabaseAwayError("the database has not answered the group before this one")

    def _abandon(self, ticket: Ticket[Item, Result]) -> None:
        with self._changed:
            if ticket in self._queue:
                self._queue.remove(ticket)
                self._weight -= ticket.weight

    def _write(self) -> None:
        try:
            while group := self._take():
                self._commit(group)
        finally:  # a bug ends this thread with its traceback; whoever waits gets the next one
            with self._changed:
                self._writing_since = None
                self._writer = None
                if self._queue:
                    self._start_writer()

    def _take(self) -> list[Ticket[Item, Result]]:
        with self._changed:
            self._writing_since = None
            while not self._queue and not self._stopping:
                self._changed.wait()
            group: list[Ticket[Item, Result]] = []
            size = 0
            while self._queue and (not group or size + self._queue[0].weight <= self._room.max_group):
                group.append(self._queue.popleft())
                size += group[-1].weight
            self._weight -= size
            if group:
                self._writing_since = time.monotonic()
            return group

    def _commit(self, group: list[Ticket[Item, Result]]) -> None:
        started = time.perf_counter()
        failure: NotStoredError | None = WriterStoppedError("the writer failed; its log has the reason")
        try:
            for ticket, result in zip(group, self._store([ticket.item for ticket in group]), strict=True):
                ticket.result = result
            failure = None
        except NotStoredError as error:
            failure = error
        finally:
            for ticket in group:
                ticket.error = failure
                ticket.done.set()
            self._on_group(
                GroupReport(
                    size=sum(ticket.weight for ticket in group),
                    seconds=time.perf_counter() - started,
                    failure="" if failure is None else failure.reason,
                )
            )
