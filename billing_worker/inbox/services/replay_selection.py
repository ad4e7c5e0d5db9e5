"""Replay everything a selection names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.replay_events import BATCH, Replayed, ReplaySelection, list_replayable, replay_events

NAMED = 100
"""How many events that were left out a report names; it counts all of them."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """How many events went back to pending, in how many lanes.

    Shape: `left_out` counts those that cannot be replayed by what hinders them, `left_out_ids` names the first of them;
    `repeated` are the keys of effects that happen once more.
    """

    events: int
    lanes: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    left_out_ids: tuple[str, ...] = ()
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
    left_out, repeated = list[Replayed](), list[str]()
    while True:
        with unit_of_work.transaction() as session:
            batch = list_replayable(session, selection, after=after, size=batch_size)
            able = [event for event in batch if not event.hindrance]
            repeated += repeat(session, able) if repeat is not None else ()
            woken = replay_events(session, able) if able else set[int]()
        if not batch:
            hindrances = Counter(event.hindrance for event in left_out)
            named = tuple(event.event_id for event in left_out[:NAMED])
            return ReplayReport(events, len(lanes), hindrances, named, tuple(repeated))
        for lane in sorted(woken):
            wake(lane)
        lanes |= woken
        events += len(able)
        left_out += [event for event in batch if event.hindrance]
        after = batch[-1].row_id
        tell(events)
