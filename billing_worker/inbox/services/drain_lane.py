"""Drain one lane: claim what is due, apply it batch by batch, leave nothing behind unseen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, try_lock
from billing_worker.database.plans import look_up_by_index
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.batch import BatchReport, apply_batch
from billing_worker.inbox.claim import (
    Claim,
    LaneState,
    claim_events,
    close_batch,
    read_lane,
    record_batch,
    settled_through,
)
from billing_worker.inbox.isolate import count_crashes, give_up_batch, is_crash_looping, size_after
from billing_worker.inbox.queue import hold_objects, is_lane_due, release_held
from billing_worker.kernel.events import Reactions

FAIR_SECONDS = 5.0
"""A drain gives its consumer back after five seconds, so that a loud lane cannot starve the quiet ones."""

BATCH_TIMEOUT = timedelta(seconds=60)

NOTHING = Claim(events=[], held_keys=frozenset(), positions=0, last_position=0)

_log = structlog.get_logger(__name__)


@dataclass
class DrainReport:
    """What one drain did; `again` tells that due events are left and the lane wants another wake-up."""

    batches: int = 0
    events: int = 0
    applied: int = 0
    superseded: int = 0
    effects: int = 0
    busy: bool = False
    again: bool = False


def drain_lane(
    unit_of_work: UnitOfWork,
    reactions: Reactions,
    *,
    lane: int,
    batch_size: int,
    clear_mark: Callable[[int], None],
) -> DrainReport:
    """Apply the due events of a lane until nothing is due or five seconds have passed.

    Phases: per batch one transaction, with the batch noted beforehand on a connection of its own.
    Locks: the lane's advisory lock, for a transaction at a time; a lane that is taken is left to its holder, who looks
    once more after releasing it.
    Raises: DBAPIError when the database fails; the batch is then rolled back and found again by the rescue.
    """
    report = DrainReport()
    deadline = time.monotonic() + FAIR_SECONDS
    clear_mark(lane)
    while True:
        now = unit_of_work.now()
        is_full = _drain_batch(unit_of_work, reactions, report, lane=lane, batch_size=batch_size, now=now)
        if report.busy:
            return report
        if is_full and time.monotonic() < deadline:
            continue
        with unit_of_work.transaction() as session:
            # Whoever found the lane taken has gone away by now: what they saw must be seen here.
            report.again = is_lane_due(session, lane, now)
        if not report.again or time.monotonic() >= deadline:
            return report


def _drain_batch(
    unit_of_work: UnitOfWork, reactions: Reactions, report: DrainReport, *, lane: int, batch_size: int, now: datetime
) -> bool:
    """Apply one batch and say whether it was full, so that more is likely to wait."""
    claim = NOTHING
    started = time.perf_counter()
    try:
        with unit_of_work.transaction(statement_timeout=BATCH_TIMEOUT) as session:
            if not try_lock(session, LockClass.LANE, lane):
                report.busy = True
                return False
            look_up_by_index(session)
            state = read_lane(session, lane)
            size = size_after(state, batch_size)
            if state.has_held:
                release_held(session, lane, now)
            claim = claim_events(session, lane, after=state.taken_through, size=size, now=now)
            hold_objects(session, lane, claim.held_keys)
            through = settled_through(state, claim, size=size)
            if not claim.events:
                _pass_over(session, state, claim, lane, through)
                return claim.positions >= size
            crashes = count_crashes(state, claim.events)
            if is_crash_looping(session, claim.events, crashes, now):
                close_batch(session, lane, next_size=0, taken_through=through)
                return True
            _record(unit_of_work, state, claim, lane, now, crashes)
            batch = apply_batch(session, claim.events, reactions, lane=lane, now=now)
            close_batch(session, lane, next_size=0 if size >= batch_size else size * 2, taken_through=through)
    except DBAPIError as error:
        if error.connection_invalidated or not claim.events:
            raise
        give_up_batch(unit_of_work, lane, claim.events, error)
        return True
    except Exception as error:
        # dispatch: a batch that cannot be applied whole is halved
        if not claim.events:
            raise
        give_up_batch(unit_of_work, lane, claim.events, error)
        return True
    _add(report, batch, len(claim.events))
    duration_ms = round((time.perf_counter() - started) * 1000)
    _log.info("webhook_processed", lane=lane, events=len(claim.events), duration_ms=duration_ms, **vars(batch))
    return claim.positions >= size


def _record(unit_of_work: UnitOfWork, state: LaneState, claim: Claim, lane: int, now: datetime, crashes: int) -> None:
    row_ids = [event.row_id for event in claim.events]
    following = claim.last_position if state.is_free else None
    record_batch(unit_of_work.engine, lane, row_ids, now, crashes=crashes, next_through=following)


def _pass_over(session: Session, state: LaneState, claim: Claim, lane: int, through: int) -> None:
    """Close what a dead worker left, and remember how far the lane is empty, where nothing is to be applied."""
    if (state.unfinished and not claim.positions) or through > state.taken_through:
        close_batch(session, lane, next_size=0, taken_through=through)


def _add(report: DrainReport, batch: BatchReport, events: int) -> None:
    report.batches += 1
    report.events += events
    report.applied += batch.applied
    report.superseded += batch.superseded
    report.effects += batch.effects
