"""The waiting room: one commit for all who wait, bounded, and nobody told before it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from billing_worker.database.group_commit import (
    CommitTimeoutError,
    DatabaseAwayError,
    GroupCommit,
    GroupReport,
    Room,
    RoomFullError,
    WriterStalledError,
    WriterStoppedError,
)

PATIENT = timedelta(seconds=30)


class Store:
    """Commits when it is let; remembers the groups."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.reports: list[GroupReport] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.error: Exception | None = None

    def __call__(self, items: Sequence[int]) -> list[str]:
        self.entered.release()
        assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        self.groups.append(list(items))
        return [f"stored {item}" for item in items]

    def room(
        self, *, max_group: int = 100, max_waiting: int = 100, timeout: timedelta = PATIENT
    ) -> GroupCommit[int, str]:
        return GroupCommit(self, room=Room(max_group, max_waiting, timeout), on_group=self.reports.append)


def test_whoever_waits_while_a_commit_is_under_way_shares_the_next_one() -> None:
    store = Store()
    room = store.room(max_group=3)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(room.store, 0)
        assert store.entered.acquire(timeout=30)
        others = [pool.submit(room.store, number) for number in range(1, 6)]
        while room.waiting < 5:
            pass
        assert not any(other.done() for other in others)
        store.gate.set()
        assert [first.result(), *(other.result() for other in others)] == [f"stored {number}" for number in range(6)]
    assert [len(group) for group in store.groups] == [1, 3, 2]
    assert [(report.size, report.failure) for report in store.reports] == [(1, ""), (3, ""), (2, "")]
    room.stop(PATIENT)
    with pytest.raises(WriterStoppedError):
        room.store(9)


def test_a_full_room_refuses_by_weight_but_never_the_only_one() -> None:
    store = Store()
    room = store.room(max_waiting=10)
    with ThreadPoolExecutor(3) as pool:
        writing = pool.submit(room.store, 0, weight=50)
        assert store.entered.acquire(timeout=30)
        alone = pool.submit(room.store, 1, weight=50)
        while room.waiting < 50:
            pass
        with pytest.raises(RoomFullError, match="50 wait already"):
            room.store(2)
        store.gate.set()
        assert (writing.result(), alone.result()) == ("stored 0", "stored 1")
    assert (room.waiting, [len(group) for group in store.groups]) == (0, [1, 1])
    room.stop(PATIENT)


def test_nobody_waits_longer_than_the_timeout() -> None:
    store = Store()
    room = store.room(timeout=timedelta(milliseconds=50))
    with pytest.raises(CommitTimeoutError):
        room.store(0)
    with pytest.raises(WriterStalledError, match="group before"):
        room.store(1)
    store.gate.set()
    room.stop(PATIENT)
    assert store.groups == [[0]], "what a commit had begun may be stored; what gave up waiting is not"


def test_a_group_that_the_database_refused_is_told_so_and_the_next_one_is_stored() -> None:
    store = Store()
    store.gate.set()
    store.error = DatabaseAwayError("away")
    room = store.room()
    with pytest.raises(DatabaseAwayError, match="away"):
        room.store(0)
    store.error = None
    assert room.store(1) == "stored 1"
    assert [report.failure for report in store.reports] == ["database_away", ""]
    room.stop(PATIENT)


def test_a_bug_ends_its_group_and_its_writer_and_nobody_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[object] = []
    ended = threading.Event()

    def note(told: threading.ExceptHookArgs) -> None:
        died.append(told.exc_type)
        ended.set()

    monkeypatch.setattr(threading, "excepthook", note)
    store = Store()
    store.gate.set()
    store.error = ZeroDivisionError()
    room = store.room()
    with pytest.raises(WriterStoppedError):
        room.store(0)
    store.error = None
    assert room.store(1) == "stored 1", "the writer may still be ending: the next one takes over"
    assert ended.wait(30)
    assert died == [ZeroDivisionError]
    room.stop(PATIENT)
