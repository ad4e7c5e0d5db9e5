"""Drain one lane: claim what is due, apply it batch by batch, leave nothing behind unseen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, try_lock
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.batch import BatchReport, apply_batch
from billing_worker.inbox.claim import (
    ClaimedEvent,
    LaneState,
    claim_events,
    close_batch,
    is_lane_due,
    read_lane,
    record_batch,
)
from billing_worker.inbox.isolate import give_up_batch, is_crash_looping
from billing_worker.kernel.events import Reactions

FAIR_SECONDS = 5.0
"""A drain gives its consumer back after five seconds, so that a loud lane cannot starve the quiet ones."""

BATCH_TIMEOUT = timedelta(seconds=60)

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
        drained = _drain_batch(unit_of_work, reactions, report, lane=lane, batch_size=batch_size)
        if report.busy:
            return report
        if not drained or time.monotonic() >= deadline:
            with unit_of_work.transaction() as session:
                # Whoever found the lane taken has gone away by now: what they saw must be seen here.
                report.again = is_lane_due(session, lane, unit_of_work.now())
            if drained or not report.again or time.monotonic() >= deadline:
                return report


def _drain_batch(
    unit_of_work: UnitOfWork, reactions: Reactions, report: DrainReport, *, lane: int, batch_size: int
) -> bool:
    """Apply one batch and say whether there was one."""
    claimed: list[ClaimedEvent] = []
    started = time.perf_counter()
    try:
        with unit_of_work.transaction(statement_timeout=BATCH_TIMEOUT) as session:
            if not try_lock(session, LockClass.LANE, lane):
                report.busy = True
                return False
            state = read_lane(session, lane)
            size = _batch_size(state, batch_size)
            now = unit_of_work.now()
            claimed = claim_events(session, lane, size=size, now=now)
            if not claimed:
                _forget_unfinished(session, state, lane)
                return False
            crashes = _crashes(state, claimed)
            if is_crash_looping(session, claimed, crashes, now):
                close_batch(session, lane, next_size=0)
                return True
            record_batch(unit_of_work.engine, lane, [event.row_id for event in claimed], now, crashes=crashes)
            batch = apply_batch(session, claimed, reactions, lane=lane, now=now)
            close_batch(session, lane, next_size=0 if size >= batch_size else size * 2)
    except DBAPIError as error:
        if error.connection_invalidated or not claimed:
            raise
        give_up_batch(unit_of_work, lane, claimed, error)
        return True
    except Exception as error:  # noqa: BLE001 - dispatch: a batch that cannot be applied whole is halved
        give_up_batch(unit_of_work, lane, claimed, error)
        return True
    _add(report, batch, len(claimed))
    duration_ms = round((time.perf_counter() - started) * 1000)
    _log.info("webhook_processed", lane=lane, events=len(claimed), duration_ms=duration_ms, **vars(batch))
    return True


def _batch_size(state: LaneState, batch_size: int) -> int:
    """Halve after a crash, else go on with the size the last batch left."""
    if state.unfinished:
        return max(1, len(state.unfinished) // 2)
    return min(state.batch_size or batch_size, batch_size)


def _crashes(state: LaneState, claimed: list[ClaimedEvent]) -> int:
    """Count the crashes of an event that is alone in its batch, this attempt's predecessors included."""
    alone = len(claimed) == 1 and state.unfinished == (claimed[0].row_id,)
    return state.crashes + 1 if alone else 0


def _forget_unfinished(session: Session, state: LaneState, lane: int) -> None:
    if state.unfinished:
        close_batch(session, lane, next_size=0)


def _add(report: DrainReport, batch: BatchReport, events: int) -> None:
    report.batches += 1
    report.events += events
    report.applied += batch.applied
    report.superseded += batch.superseded
    report.effects += batch.effects
