"""Replay everything a selection names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.replay_events import BATCH, Replayed, ReplaySelection, list_replayable, replay_events

NAMED = 100
"""How many pruned events a report names; it counts all of them."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """How many events went back to pending, in how many lanes.

    Shape: `pruned` counts those left out because their body is gone, `pruned_ids` names the first of them; `repeated`
    are the keys of effects that happen once more.
    """

    events: int
    lanes: int
    pruned: int = 0
    pruned_ids: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()


def replay_selection(
    unit_of_work: UnitOfWork,
    selection: ReplaySelection,
    *,
    wake: Callable[[int], object],
    batch_size: int = BATCH,
    tell: Callable[[int], None] = lambda _events: None,
    repeat: Callable[[Session, Sequence[Replayed]], Sequence[str]] | None = None,
) -> ReplayReport:
    """Put the selected events back to pending, oldest first, and wake their lanes.

    Phases: one transaction per batch, its lanes woken after the commit; who is interrupted calls it again.
    Shape: `tell` is given the number of events so far, after each batch; `repeat` is called in the batch's transaction
    and returns the keys of the effects it has repeated.
    Raises: InvalidValueError for a selection of everything.
    """
    events, lanes, after = 0, set[int](), 0
    pruned, repeated = list[str](), list[str]()
    while True:
        with unit_of_work.transaction() as session:
            batch = list_replayable(session, selection, after=after, size=batch_size)
            able = [event for event in batch if event.has_body]
            repeated += repeat(session, able) if repeat is not None else ()
            woken = replay_events(session, able) if able else set[int]()
        if not batch:
            named = tuple(pruned[:NAMED])
            return ReplayReport(events, len(lanes), len(pruned), named, tuple(repeated))
        for lane in sorted(woken):
            wake(lane)
        lanes |= woken
        events += len(able)
        pruned += [event.event_id for event in batch if not event.has_body]
        after = batch[-1].row_id
        tell(events)
