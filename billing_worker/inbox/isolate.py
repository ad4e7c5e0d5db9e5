"""Isolate what cannot be applied: halve the batch down to one event, then count against that event alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.conflicts import is_conflict
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.claim import BatchNote, Claim, ClaimedEvent, Closing, LaneState, close_batch
from billing_worker.inbox.finish import MAX_ATTEMPTS, Ending, finish_events, park_for_backoff, unpark
from billing_worker.inbox.states import EventStatus

MAX_CRASHES = 3
"""An event alone in three crashes of its worker is the cause of them."""

_log = structlog.get_logger(__name__)


def size_after(state: LaneState, batch_size: int) -> int:
    """Halve after a crash, else go on with the size the last batch left."""
    if state.unfinished:
        return max(1, len(state.unfinished) // 2)
    return min(state.batch_size or batch_size, batch_size)


def count_crashes(state: LaneState, claimed: Sequence[ClaimedEvent]) -> int:
    """Count the crashes of an event that is alone in its batch, this attempt's predecessors included."""
    alone = len(claimed) == 1 and state.unfinished == (claimed[0].row_id,)
    return state.crashes + 1 if alone else 0


def notes_of(states: Sequence[LaneState], claim: Claim, *, crashes: int) -> dict[int, BatchNote]:
    """Write down the batch by lane.

    A lane's only event is noted with another one of the batch: it was not alone, whatever happens.
    """
    notes = {}
    for state in states:
        taken = claim.of_lane[state.lane]
        if not taken.row_ids:
            continue
        row_ids = taken.row_ids
        if len(row_ids) == 1 < len(claim.events):
            row_ids = [*row_ids, next(event.row_id for event in claim.events if event.row_id != row_ids[0])]
        notes[state.lane] = BatchNote(row_ids, crashes, taken.last_position if state.is_free else None)
    return notes


def give_up_batch(unit_of_work: UnitOfWork, claimed: Sequence[ClaimedEvent], error: Exception) -> None:
    """Record that a batch could not be applied: each lane's next one is half as long; a lone event is parked or dead.

    A conflict with another transaction, a redelivery's for example, counts for nobody.
    Phases: one transaction of its own; the failed one is already rolled back.
    """
    lanes = Counter(event.lane for event in claimed)
    if is_conflict(error):
        _log.info("batch_conflict", lanes=sorted(lanes), events=len(claimed), detail=str(error)[:200])
        with unit_of_work.transaction() as session:
            close_batch(session, dict.fromkeys(lanes, Closing()))
        return
    _log.warning("batch_failed", lanes=sorted(lanes), events=len(claimed), exc_info=error)
    with unit_of_work.transaction() as session:
        close_batch(session, {lane: Closing(next_size=max(1, events // 2)) for lane, events in lanes.items()})
        if len(claimed) == 1:
            _fail_alone(session, claimed[0], unit_of_work.now(), f"{type(error).__name__}: {error}")


def is_crash_looping(session: Session, claimed: Sequence[ClaimedEvent], crashes: int, now: datetime) -> bool:
    """End an event that killed its worker three times, and say so; later events of its object go on."""
    if crashes < MAX_CRASHES:
        return False
    event = claimed[0]
    _log.error("event_dead", event_id=event.event_id, type=event.type, reason="crashed_worker")
    ending = Ending(
        event,
        EventStatus.FAILED,
        reason="crashed_worker",
        detail=f"the worker died {crashes} times while this event was alone in its batch",
    )
    finish_events(session, [ending], now, applied_ms=0)
    return True


def _fail_alone(session: Session, event: ClaimedEvent, now: datetime, detail: str) -> None:
    attempts = event.attempts + 1
    if attempts < MAX_ATTEMPTS:
        park_for_backoff(session, event, now, attempts=attempts, detail=detail)
        return
    _log.error("event_dead", event_id=event.event_id, type=event.type, lane=event.lane, detail=detail)
    ending = Ending(event, EventStatus.FAILED, reason="attempts_exhausted", detail=detail)
    finish_events(session, [ending], now, applied_ms=0)
    unpark(session, [event.object_key])
