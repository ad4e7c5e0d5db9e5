"""Lanes that are drained together: one batch, a fair turn for each, no wake-up lost, a killer found in company."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, try_lock
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.drain_lanes import DrainReport, Mark, drain_lanes
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.events import DirtyDraft, EffectDraft, EventView, Reactions, Snapshot
from billing_worker.kernel.keys import lane_of, lanes_beside
from billing_worker.worker.wake import Waker
from tests.support.deliveries import EPOCH, RecordingReactions, customer, event, rows, store

LANES = tuple(lanes_beside(0, 4))
NAMES = {lane_of(f"/customer/cus_{n}"): f"cus_{n}" for n in range(2_000)}
"""A customer for each lane."""

ENDS = "SELECT object_id, status, reason FROM billing_webhook_events ORDER BY object_id"


def updates(lane: int, count: int) -> list[dict[str, object]]:
    return [event("customer.updated", customer(NAMES[lane]), created=EPOCH + n) for n in range(count)]


def drain(
    unit_of_work: UnitOfWork, reactions: Reactions, *, batch_size: int = 500, mark: Mark | None = None
) -> DrainReport:
    return drain_lanes(unit_of_work, reactions, lanes=LANES, batch_size=batch_size, mark=mark or Mark())


def test_the_due_lanes_of_a_queue_are_one_batch_and_other_queues_are_left_alone(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    store(engine, [one for lane in (*LANES[:3], 1) for one in updates(lane, 2)], clock.now())
    report = drain(unit_of_work, RecordingReactions())
    assert (report.batches, report.events, report.lanes, report.again) == (1, 6, set(LANES[:3]), False)
    assert rows(session, "SELECT lane, count(*) FROM billing_webhook_queue GROUP BY 1") == [(1, 2)]


def test_lanes_take_turns_and_a_loud_one_waits_for_its_own(
    engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    """Nine lanes and four events a batch: everybody is served before anybody is served for the third time."""
    served: list[int] = []

    class Noting(RecordingReactions):
        def on_fact(self, event: EventView) -> list[EffectDraft]:
            served.append(lane_of(event.object_key))
            clock.advance(timedelta(milliseconds=1))
            return super().on_fact(event)

    loud, *quiet = LANES[:9]
    store(engine, updates(loud, 30) + [one for lane in quiet for one in updates(lane, 2)], clock.now())
    while drain(unit_of_work, Noting(), batch_size=4).again:
        pass
    assert Counter(served) == {loud: 30} | dict.fromkeys(quiet, 2)
    assert set(served[:12]) == {loud, *quiet}
    assert max(Counter(served[:12]).values()) == 2


def test_while_a_drain_is_at_work_nobody_sends_a_message_and_nothing_is_lost(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock, redis: Redis, redis_url: str
) -> None:
    """Events land while a batch is under way, and between the last batch and the clearing of the mark."""
    waker = Waker(redis_url, redis, webhook_queues=4)
    arriving = [updates(LANES[1], 1), updates(LANES[2], 1)]
    spared: list[bool] = []

    def arrive(at: int) -> None:
        if len(arriving) > at:
            store(engine, arriving.pop(), clock.now())
            spared.append(waker.wake_lane(LANES[2]))

    class Interrupted(RecordingReactions):
        def on_level(self, snapshot: Snapshot) -> list[DirtyDraft]:
            arrive(1)
            return super().on_level(snapshot)

    def clear() -> None:
        arrive(0)
        waker.clear_mark(LANES[0])

    store(engine, updates(LANES[0], 1), clock.now())
    assert waker.wake_lane(LANES[0])
    report = drain(unit_of_work, Interrupted(), mark=Mark(hold=partial(waker.hold_mark, LANES[0]), clear=clear))
    assert (report.events, report.again, spared) == (3, False, [False, False])
    assert redis.llen("webhooks.0") == 1
    assert rows(session, "SELECT status, count(*) FROM billing_webhook_events GROUP BY 1") == [("applied", 3)]
    assert waker.wake_lane(LANES[3])


def test_a_lane_that_somebody_has_is_skipped_and_not_asked_for_again(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    store(engine, updates(LANES[0], 1) + updates(LANES[1], 1), clock.now())
    with Session(engine) as holder, holder.begin():
        assert try_lock(holder, LockClass.LANE, LANES[0])
        report = drain(unit_of_work, RecordingReactions())
    assert (report.events, report.busy, report.again) == (1, True, False)
    assert rows(session, "SELECT lane FROM billing_webhook_queue") == [(LANES[0],)]


def test_a_killer_is_found_among_the_lanes_of_a_batch_and_its_company_is_applied(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    """It dies in company once, and then three times alone before it is given up."""
    killer = NAMES[LANES[1]]

    class Killed(RecordingReactions):
        def on_fact(self, event: EventView) -> list[EffectDraft]:
            if event.object_id == killer:
                raise SystemExit  # as a kill: nothing of ours runs any more, only the note remains
            return super().on_fact(event)

    store(engine, [one for lane in LANES[:3] for one in updates(lane, 1)], clock.now())
    deaths = 0
    while rows(session, "SELECT count(*) FROM billing_webhook_queue") != [(0,)]:
        try:
            drain(unit_of_work, Killed())
        except SystemExit:
            deaths += 1
    assert deaths == 4
    assert {name: (status, reason) for name, status, reason in rows(session, ENDS)} == {
        NAMES[LANES[0]]: ("applied", ""),
        killer: ("failed", "crashed_worker"),
        NAMES[LANES[2]]: ("applied", ""),
    }
    assert rows(session, "SELECT count(*) FROM billing_lanes WHERE batch_row_ids IS NOT NULL") == [(0,)]


@pytest.mark.parametrize("queues", [1, 3, 4])
def test_each_lane_belongs_to_one_queue(queues: int) -> None:
    assert sorted(lane for first in range(queues) for lane in lanes_beside(first, queues)) == list(range(64))
