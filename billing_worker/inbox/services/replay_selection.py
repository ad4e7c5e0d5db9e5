"""Replay everything a selection names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.replay_events import BATCH, Replayed, ReplaySelection, list_replayable, replay_events


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """How many events went back to pending, in how many lanes."""

    events: int
    lanes: int


def replay_selection(
    unit_of_work: UnitOfWork,
    selection: ReplaySelection,
    *,
    wake: Callable[[int], object],
    batch_size: int = BATCH,
    tell: Callable[[int], None] = lambda _events: None,
) -> ReplayReport:
    """Put the selected events back to pending, oldest first, and wake their lanes.

    Phases: one transaction per batch, its lanes woken after the commit; who is interrupted calls it again.
    Shape: `tell` is given the number of events so far, after each batch.
    Raises: InvalidValueError for a selection of everything.
    """
    events, lanes, after = 0, set[int](), 0
    while True:
        with unit_of_work.transaction() as session:
            batch: list[Replayed] = list_replayable(session, selection, after=after, size=batch_size)
            woken = replay_events(session, batch) if batch else set[int]()
        if not batch:
            return ReplayReport(events, len(lanes))
        for lane in sorted(woken):
            wake(lane)
        lanes |= woken
        events += len(batch)
        after = batch[-1].row_id
        tell(events)
