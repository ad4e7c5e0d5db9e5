"""Drain lanes together: claim what is due, apply it batch by batch, leave nothing behind unseen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError

from billing_worker.database.plans import look_up_by_index
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.batch import BatchReport, apply_batch
from billing_worker.inbox.claim import Claim, record_batch
from billing_worker.inbox.isolate import count_crashes, give_up_batch, is_crash_looping, notes_of
from billing_worker.inbox.queue import is_any_due
from billing_worker.inbox.taking import Taking, finish_taking, pass_over, take_batch
from billing_worker.kernel.events import Reactions

FAIR_SECONDS = 0.2
"""A drain gives its consumer back after 200 ms, where a message costs 5: there are fewer consumers than queues."""

LINGER_SECONDS = 0.05
"""A batch costs as much as 100 of its events: what still comes after one that was not full is let grow into another."""

BATCH_TIMEOUT = timedelta(seconds=60)

NOTHING = Taking(states=[], claim=Claim(events=[], of_lane={}), next_size=0, is_busy=False)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Mark:
    """The wake-up mark of the lanes: while it is held nobody sends a message for them."""

    hold: Callable[[], object] = lambda: None
    clear: Callable[[], object] = lambda: None


@dataclass
class DrainReport:
    """What one drain did; `again` tells that due events are left and the lanes want another wake-up."""

    batches: int = 0
    events: int = 0
    applied: int = 0
    superseded: int = 0
    effects: int = 0
    busy: bool = False
    again: bool = False
    lanes: set[int] = field(default_factory=set)


def drain_lanes(
    unit_of_work: UnitOfWork, reactions: Reactions, *, lanes: Sequence[int], batch_size: int, mark: Mark
) -> DrainReport:
    """Apply the due events of the lanes until nothing is due or their time is over.

    Phases: per batch one transaction, with the batch noted beforehand on a connection of its own.
    Order: the lane that was served longest ago comes first, so that a loud one starves nobody.
    Locks: the lanes' advisory locks, for a transaction at a time; a lane that is taken is left to its holder, who
    looks once more after releasing it. The mark is cleared before each look that may be the last one.
    Raises: DBAPIError when the database fails; the batch is then rolled back and found again by the rescue.
    """
    report = DrainReport()
    deadline = time.monotonic() + FAIR_SECONDS
    while True:
        events, now = report.events, unit_of_work.now()
        is_full = _drain_batch(unit_of_work, reactions, report, lanes=lanes, batch_size=batch_size, now=now)
        is_time_over = time.monotonic() >= deadline
        if is_full and not is_time_over:
            continue
        mark.clear()
        if report.busy and report.events == events:
            report.again = False  # whoever has the lane looks once more
            return report
        with unit_of_work.transaction() as session:
            # Whoever found a lane taken has gone away by now: what they saw must be seen here.
            report.again = is_any_due(session, lanes, now)
        if not report.again or is_time_over:
            return report
        mark.hold()
        time.sleep(LINGER_SECONDS)


def _drain_batch(
    unit_of_work: UnitOfWork,
    reactions: Reactions,
    report: DrainReport,
    *,
    lanes: Sequence[int],
    batch_size: int,
    now: datetime,
) -> bool:
    """Apply one batch and say whether it was full, so that more is likely to wait."""
    taking = NOTHING
    started = time.perf_counter()
    try:
        with unit_of_work.transaction(statement_timeout=BATCH_TIMEOUT) as session:
            look_up_by_index(session)
            taking = take_batch(session, lanes, batch_size=batch_size, now=now)
            report.busy = taking.is_busy
            if not taking.states:
                return False
            claim = taking.claim
            crashes = count_crashes(taking.states[0], claim.events)
            is_ended = is_crash_looping(session, claim.events, crashes, now)
            if is_ended or not claim.events:
                pass_over(session, taking, is_ended=is_ended)
                return is_ended or claim.is_full
            record_batch(unit_of_work.engine, notes_of(taking.states, claim, crashes=crashes), now)
            batch = apply_batch(session, claim.events, reactions, now=now)
            finish_taking(session, taking)
    except DBAPIError as error:
        if error.connection_invalidated or not taking.claim.events:
            raise
        give_up_batch(unit_of_work, taking.claim.events, error)
        return True
    except Exception as error:
        # dispatch: a batch that cannot be applied whole is halved
        if not taking.claim.events:
            raise
        give_up_batch(unit_of_work, taking.claim.events, error)
        return True
    _add(report, batch, claim)
    duration_ms = round((time.perf_counter() - started) * 1000)
    _log.info(
        "webhook_processed", lanes=len(taking.states), events=len(claim.events), duration_ms=duration_ms, **vars(batch)
    )
    return claim.is_full


def _add(report: DrainReport, batch: BatchReport, claim: Claim) -> None:
    report.batches += 1
    report.events += len(claim.events)
    report.applied += batch.applied
    report.superseded += batch.superseded
    report.effects += batch.effects
    report.lanes.update(event.lane for event in claim.events)
