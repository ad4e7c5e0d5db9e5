"""One batch of several lanes: which of them take part, what is taken out of each, and what is left when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.inbox.claim import (
    Claim,
    Closing,
    LaneState,
    claim_events,
    close_batch,
    read_lanes,
    settled_through,
)
from billing_worker.inbox.isolate import size_after
from billing_worker.inbox.queue import hold_objects, lock_due_lanes, release_held

LANES_AT_LEAST = 4
"""A loud lane gets a quarter of a batch that it shares with others."""


@dataclass(frozen=True, slots=True)
class Taking:
    """Lanes that are locked and what was claimed of them; `is_busy` when somebody else has a lane that is due."""

    states: list[LaneState]
    claim: Claim
    next_size: int
    is_busy: bool


def take_batch(session: Session, lanes: Sequence[int], *, batch_size: int, now: datetime) -> Taking:
    """Lock the due lanes and claim a batch of them: the lock and the claim are statements of their own."""
    locked, is_busy = lock_due_lanes(session, lanes, now)
    states = _served_together(read_lanes(session, locked)) if locked else []
    if not states:
        return Taking([], Claim(events=[], of_lane={}), 0, is_busy)
    size = size_after(states[0], batch_size)
    for state in states:
        if state.has_held:
            release_held(session, state.lane, now)
    share = size if len(states) == 1 else max(1, size // LANES_AT_LEAST)
    after = {state.lane: state.taken_through for state in states}
    claim = claim_events(session, after, share=share, size=size, now=now)
    for lane, taken in claim.of_lane.items():
        hold_objects(session, lane, taken.held_keys)
    return Taking(states, claim, 0 if size >= batch_size else size * 2, is_busy)


def finish_taking(session: Session, taking: Taking) -> None:
    """Clear the notes of the lanes that had events, in the transaction that applied them."""
    close_batch(
        session,
        {
            state.lane: Closing(taking.next_size, settled_through(state, taken))
            for state in taking.states
            if (taken := taking.claim.of_lane[state.lane]).positions
        },
    )


def pass_over(session: Session, taking: Taking, *, is_ended: bool) -> None:
    """Close what a dead worker left, and remember how far the lanes are empty, where nothing is to be applied."""
    closings = {}
    for state in taking.states:
        taken = taking.claim.of_lane[state.lane]
        through = settled_through(state, taken)
        if is_ended or (state.unfinished and not taken.positions) or through > state.taken_through:
            closings[state.lane] = Closing(0, through)
    if closings:
        close_batch(session, closings)


def _served_together(states: list[LaneState]) -> list[LaneState]:
    """Keep a lane whose last batch failed to itself: an event that kills its worker takes one lane along, once."""
    if states[0].is_suspect:
        return states[:1]
    return [state for state in states if not state.is_suspect]
