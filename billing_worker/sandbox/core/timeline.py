"""What is due when, derived from the documents themselves: nothing to store, nothing to lose."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import TEST_CLOCK, Session


@dataclass(frozen=True, slots=True)
class Duty:
    """When a kind of document needs something done, and what.

    Order: `act` must move `due_at` forward or clear it, else time would stand still.
    """

    due_at: Callable[[Document], int | None]
    act: Callable[[Session, Document], None]


class Timelines:
    """The account's timeline, and one for each test clock."""

    def __init__(self, duties: Mapping[str, Duty]) -> None:
        self._duties = duties
        self._by_clock: dict[str | None, Timeline] = {}
        self._clock_of: dict[tuple[str, str], str | None] = {}

    def of(self, clock_id: str | None) -> Timeline:
        """Return the timeline of a test clock, or with None the account's own."""
        return self._by_clock.setdefault(clock_id, Timeline(self._duties))

    def watch(self, document: Document) -> None:
        """Note when a committed document is due next, by the clock that drives it."""
        if document["object"] not in self._duties:
            return
        key, clock_id = (document["object"], document["id"]), document.get("test_clock")
        if self._clock_of.get(key) != clock_id:
            self.forget(*key)
            self._clock_of[key] = clock_id
        self.of(clock_id).watch(document)

    def forget(self, kind: str, object_id: str) -> None:
        """Drop a removed document; with a test clock goes its timeline."""
        self.of(self._clock_of.pop((kind, object_id), None)).forget(kind, object_id)
        if kind == TEST_CLOCK:
            self._by_clock.pop(object_id, None)


class Timeline:
    """A heap of due instants; outdated entries are skipped when they come up."""

    def __init__(self, duties: Mapping[str, Duty]) -> None:
        self._duties = duties
        self._heap: list[tuple[int, int, str, str]] = []
        self._due: dict[tuple[str, str], int] = {}
        self._tie = 0

    def watch(self, document: Document) -> None:
        """Note when a committed document is due next."""
        duty = self._duties.get(document["object"])
        if duty is None:
            return
        key = (document["object"], document["id"])
        due = duty.due_at(document)
        if due is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due:
            self._due[key] = due
            self._tie += 1
            heapq.heappush(self._heap, (due, self._tie, *key))

    def forget(self, kind: str, object_id: str) -> None:
        """Drop a removed document."""
        self._due.pop((kind, object_id), None)

    def next_due(self) -> tuple[int, str, str] | None:
        """Tell what is due first: instant, kind and id."""
        while self._heap:
            due, _, kind, object_id = self._heap[0]
            if self._due.get((kind, object_id)) == due:
                return due, kind, object_id
            heapq.heappop(self._heap)
        return None

    def act(self, session: Session, kind: str, object_id: str) -> None:
        """Do what is due."""
        self._duties[kind].act(session, session.get(kind, object_id))
