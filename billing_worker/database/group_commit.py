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
from typing import Any, Generic, TypeVar

from billing_worker.kernel.errors import RetryableError

Item = TypeVar("Item")
Result = TypeVar("Result")


class NotStoredError(RetryableError):
    """The item is not known to be stored: it must be sent again.

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


class WriterStalledError(NotStoredError):
    """The group before has waited for PostgreSQL longer than anybody waits here."""

    reason = "database_stalled"


class WriterStoppedError(NotStoredError):
    """The process is stopping, or its writer ended on a bug."""

    reason = "stopped"


@dataclass(frozen=True, slots=True)
class GroupReport:
    """What became of one group.

    Units: `size` in the items' own weight, `seconds` from taking the group to its commit or failure.
    Shape: `results` are those of the items that were stored; `failure` is '' when all were.
    """

    size: int
    seconds: float
    results: Sequence[Any]
    failure: str


class Ticket(Generic[Item, Result]):
    """One caller's place in the room; `waiter` is whatever the caller put there."""

    __slots__ = ("error", "item", "result", "settle", "size_bytes", "waiter", "weight")

    def __init__(self, item: Item, settle: Settle, waiter: object, *, weight: int, size_bytes: int) -> None:
        self.item = item
        self.settle = settle
        self.waiter = waiter
        self.weight = weight
        self.size_bytes = size_bytes
        self.result: Result | None = None
        self.error: NotStoredError | None = None

    @property
    def is_settled(self) -> bool:
        """Say whether its group is through."""
        return self.result is not None or self.error is not None

    def outcome(self) -> Result:
        """Return the result after the group has been settled.

        Raises: NotStoredError when there is none.
        """
        if self.result is None:
            raise self.error or WriterStoppedError("the writer ended without an answer")
        return self.result


Settle = Callable[[Sequence[Ticket[Any, Any]]], None]
"""Called by the writer with those tickets of a group that were submitted with it; must not block or raise."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much may wait and how much goes into one commit, in the items' own weight.

    Units: `timeout` is the longest wait for a commit.
    """

    max_group: int
    max_waiting: int
    timeout: timedelta
    max_waiting_bytes: int | None = None


class GroupCommit(Generic[Item, Result]):
    """A bounded waiting room and the thread that empties it into PostgreSQL.

    Shape: `store` commits a group and returns for each item its result, or the error that kept it out; it may raise
    NotStoredError for the whole group. `on_group` is called after each group and `on_end` when the thread ends, both by
    the writer; they must not block.
    """

    def __init__(
        self,
        store: Callable[[Sequence[Item]], Sequence[Result | NotStoredError]],
        *,
        room: Room,
        on_group: Callable[[GroupReport], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.timeout_seconds = room.timeout.total_seconds()
        self._store = store
        self._room = room
        self._on_group = on_group
        self._on_end = on_end
        self._queue: deque[Ticket[Item, Result]] = deque()
        self._weight = 0
        self._bytes = 0
        self._writing_since: float | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Weigh what no group has taken yet."""
        return self._weight

    def store(self, item: Item, *, weight: int = 1, size_bytes: int = 0) -> Result:
        """Wait until an item is committed.

        Raises: NotStoredError when it is not, or when it is not known to be; storing it again must do no harm.
        """
        done = threading.Event()
        ticket = self.submit(item, lambda _: done.set(), weight=weight, size_bytes=size_bytes)
        if not done.wait(self.timeout_seconds):
            raise self.abandon(ticket)
        return ticket.outcome()

    def submit(
        self, item: Item, settle: Settle, waiter: object = None, *, weight: int = 1, size_bytes: int = 0
    ) -> Ticket[Item, Result]:
        """Put an item into the room and return at once; `settle` tells when its group is through.

        Raises: NotStoredError when there is no room for it.
        """
        ticket: Ticket[Item, Result] = Ticket(item, settle, waiter, weight=weight, size_bytes=size_bytes)
        with self._changed:
            self._check_room(ticket)
            self._queue.append(ticket)
            self._weigh(ticket, 1)
            if self._writer is None:
                self._start_writer()
            self._changed.notify()
        return ticket

    def abandon(self, ticket: Ticket[Item, Result]) -> CommitTimeoutError:
        """Take a ticket whose time is up out of the room, if no group has it yet, and return the error to answer."""
        with self._changed:
            if ticket in self._queue:
                self._queue.remove(ticket)
                self._weigh(ticket, -1)
        return CommitTimeoutError(f"no commit within {self.timeout_seconds:g} s")

    def stop(self, timeout: timedelta) -> None:
        """Take no more items, store those that wait, and end the writer."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            writer = self._writer
        if writer is not None:
            writer.join(timeout.total_seconds())

    def _weigh(self, ticket: Ticket[Item, Result], sign: int) -> None:
        self._weight += sign * ticket.weight
        self._bytes += sign * ticket.size_bytes

    def _start_writer(self) -> None:
        self._writer = threading.Thread(target=self._write, name="group-commit", daemon=True)
        self._writer.start()

    def _check_room(self, ticket: Ticket[Item, Result]) -> None:
        if self._stopping:
            raise WriterStoppedError("this process is stopping")
        room = self._room
        is_heavy = self._weight + ticket.weight > room.max_waiting
        is_large = room.max_waiting_bytes is not None and self._bytes + ticket.size_bytes > room.max_waiting_bytes
        if self._queue and (is_heavy or is_large):
            raise RoomFullError(f"{self._weight} wait already")
        since = self._writing_since
        if since is not None and time.monotonic() - since > self.timeout_seconds:
            # Its own callers have given up; whoever queued behind it would only wait in vain.
            raise WriterStalledError("the database has not answered the group before this one")

    def _write(self) -> None:
        try:
            while group := self._take():
                self._commit(group)
        finally:  # a bug ends this thread with its traceback; whoever waits gets the next one
            self._on_end()
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
                self._weigh(group[-1], -1)
            if group:
                self._writing_since = time.monotonic()
            return group

    def _commit(self, group: list[Ticket[Item, Result]]) -> None:
        started = time.perf_counter()
        failure: NotStoredError | None = WriterStoppedError("the writer failed; its log has the reason")
        results: list[Result] = []
        try:
            for ticket, found in zip(group, self._store([ticket.item for ticket in group]), strict=True):
                if isinstance(found, NotStoredError):
                    ticket.error = found
                else:
                    ticket.result = found
                    results.append(found)
            failure = next((ticket.error for ticket in group if ticket.error is not None), None)
        except NotStoredError as error:
            failure = error
        finally:
            _settle(group, failure)
            self._on_group(
                GroupReport(
                    size=sum(ticket.weight for ticket in group),
                    seconds=time.perf_counter() - started,
                    results=results,
                    failure="" if failure is None else failure.reason,
                )
            )


def _settle(group: Sequence[Ticket[Any, Any]], failure: NotStoredError | None) -> None:
    parties: dict[Settle, list[Ticket[Any, Any]]] = {}
    for ticket in group:
        if ticket.result is None:
            ticket.error = ticket.error or failure
        parties.setdefault(ticket.settle, []).append(ticket)
    for settle, tickets in parties.items():
        settle(tickets)
