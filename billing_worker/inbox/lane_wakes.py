"""Wake lanes on a thread of its own, so that a slow broker never delays an answer to Stripe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from billing_worker.worker.wake import Waker

PAUSE_SECONDS = 0.1
"""A lone event is woken for at once; what comes within the next 100 ms goes together: load makes batches grow."""


class LaneWakes:
    """The lanes that wait to be woken: at most one entry a lane, so a broker that is away makes no backlog.

    Shape: `on_wake` is told the lane and whether a message went out; False also when somebody else had sent one.
    """

    def __init__(self, waker: Waker, *, on_wake: Callable[[int, bool], None]) -> None:
        self._waker = waker
        self._on_wake = on_wake
        self._due: dict[int, str] = {}
        self._stopping = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, lane: int, *, woken_by: str) -> None:
        """Have a lane woken soon; the first cause is kept."""
        with self._changed:
            self._due.setdefault(lane, woken_by)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="lane-wakes", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self, timeout: timedelta) -> None:
        """Wake what is due and end; what does not fit into the time is left to the rescue."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout.total_seconds())

    def _run(self) -> None:
        while due := self._take():
            for lane, was_sent in self._waker.wake_lanes(due).items():
                self._on_wake(lane, was_sent)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, PAUSE_SECONDS)

    def _take(self) -> dict[int, str]:
        with self._changed:
            while not self._due and not self._stopping:
                self._changed.wait()
            due, self._due = self._due, {}
            return due
