"""The lanes' queue: nothing is looked at twice, nothing slips behind the mark, and what was held comes back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox import queue
from billing_worker.inbox.queries import list_lane_depths, read_lag
from billing_worker.inbox.queue import hold_objects, release_held
from billing_worker.inbox.services.drain_lane import drain_lane
from billing_worker.inbox.services.drain_lanes import DrainReport
from billing_worker.inbox.services.rescue_lanes import rescue_lanes
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.events import DirtyDraft, Snapshot
from billing_worker.kernel.keys import lane_of
from tests.support.deliveries import EPOCH, RecordingReactions, customer, drain, event, rows, store

KEY = "/customer/cus_1"
LANE = lane_of(KEY)
NEIGHBOUR = next(name for name in (f"cus_{n}" for n in range(2, 999)) if lane_of(f"/customer/{name}") == LANE)

QUEUED = "SELECT count(*) FROM billing_webhook_queue"
HELD = "SELECT object_key, after_id IS NOT NULL FROM billing_held_objects"
MARK = "SELECT taken_through FROM billing_lanes WHERE lane = :lane"


def updates(count: int, *, name: str = "cus_1", first: int = 0) -> list[dict[str, object]]:
    return [
        event("customer.updated", customer(name, email=f"{n}@x.io"), created=EPOCH + n, event_id=f"evt_{name}_{n}")
        for n in range(first, first + count)
    ]


def drain_once(unit_of_work: UnitOfWork, *, batch_size: int = 500) -> int:
    return drain_lane(unit_of_work, RecordingReactions(), lane=LANE, batch_size=batch_size).events


def park(session: Session, clock: FixedClock, minutes: int = 5) -> None:
    session.execute(
        text(
            "INSERT INTO billing_parked_objects (object_key, lane, waits_for, parked_until, reason, parked_at) "
            "VALUES (:key, :lane, 'backoff', :until, 'event_failed', :now)"
        ),
        {"key": KEY, "lane": LANE, "until": clock.now() + timedelta(minutes=minutes), "now": clock.now()},
    )
    session.commit()


def statuses(session: Session) -> Sequence[tuple[str, int]]:
    return rows(session, "SELECT status, count(*) FROM billing_webhook_events GROUP BY 1 ORDER BY 1")


def test_events_of_a_parked_object_leave_the_queue_once_and_come_back_in_batches(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    park(session, clock)
    store(engine, [*updates(7), *updates(2, name=NEIGHBOUR)], clock.now())
    assert drain_once(unit_of_work, batch_size=3) == 2
    assert rows(session, QUEUED) == [(0,)]
    assert rows(session, HELD) == [(KEY, False)]
    assert queue.list_due_lanes(session, clock.now()) == []
    assert [(depth.lane, depth.pending) for depth in list_lane_depths(session)] == [(LANE, 7)]
    assert read_lag(session).pending == 7
    # while it waits, new events of it are put aside as well, and others go on
    store(engine, [*updates(1, first=7), *updates(1, name=NEIGHBOUR, first=2)], clock.now())
    session.rollback()
    assert drain_once(unit_of_work, batch_size=3) == 1

    clock.advance(timedelta(minutes=6))
    session.rollback()
    assert queue.list_due_lanes(session, clock.now()) == [LANE]
    session.rollback()
    assert drain(unit_of_work, RecordingReactions(), batch_size=3) == 8
    assert statuses(session) == [("applied", 11)]
    assert rows(session, HELD) == rows(session, "SELECT object_key FROM billing_parked_objects") == []
    assert rows(session, "SELECT email FROM billing_customers WHERE id = 'cus_1'") == [("7@x.io",)]


def test_a_release_goes_on_where_it_stopped_and_starts_anew_when_the_object_is_held_again(
    engine: Engine, session: Session, clock: FixedClock
) -> None:
    store(engine, updates(queue.RELEASE + 2), clock.now())
    session.execute(text("DELETE FROM billing_webhook_queue"))
    hold_objects(session, LANE, {KEY})
    assert release_held(session, LANE, clock.now()) == queue.RELEASE
    assert rows(session, HELD) == [(KEY, True)]
    hold_objects(session, LANE, {KEY})
    assert rows(session, HELD) == [(KEY, False)]
    assert release_held(session, LANE, clock.now()) == queue.RELEASE
    assert release_held(session, LANE, clock.now()) == 2
    assert rows(session, HELD) == []
    assert release_held(session, LANE, clock.now()) == 0


def test_an_event_that_is_queued_twice_is_applied_once(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    store(engine, updates(2), clock.now())
    session.execute(
        text("INSERT INTO billing_webhook_queue (lane, event_row_id) SELECT lane, id FROM billing_webhook_events")
    )
    session.commit()
    assert drain(unit_of_work, RecordingReactions(), batch_size=3) == 2
    assert statuses(session) == [("applied", 2)]
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(2,)]


def test_whoever_makes_an_event_pending_again_queues_it(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    store(engine, updates(2), clock.now())
    drain(unit_of_work, RecordingReactions())
    session.execute(text("UPDATE billing_webhook_events SET status = 'pending' WHERE event_id = 'evt_cus_1_0'"))
    session.execute(text("UPDATE billing_webhook_events SET status = 'pending' WHERE event_id = 'evt_cus_1_0'"))
    session.commit()
    assert rows(session, QUEUED) == [(1,)]
    # and one that somebody ended otherwise is dropped when its turn comes
    session.execute(text("UPDATE billing_webhook_events SET status = 'discarded' WHERE event_id = 'evt_cus_1_0'"))
    session.commit()
    assert drain(unit_of_work, RecordingReactions()) == 0
    assert rows(session, QUEUED) == [(0,)]
    assert statuses(session) == [("applied", 1), ("discarded", 1)]


def test_stopped_events_are_marked_by_whoever_stops_them(engine: Engine, session: Session, clock: FixedClock) -> None:
    store(engine, updates(1), clock.now())
    stopped = "SELECT stopped FROM billing_webhook_events"
    for status in ("failed", "pending", "quarantined", "discarded"):
        session.execute(text("UPDATE billing_webhook_events SET status = :status"), {"status": status})
        assert rows(session, stopped) == [(status in {"failed", "quarantined"},)]


def test_the_mark_never_passes_a_position_that_is_still_uncommitted(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    """A slow intake takes its position first and commits last; the lane must still find it."""
    with Session(engine) as slow:
        slow.execute(
            text(
                "INSERT INTO billing_webhook_events (event_id, type, lane, created, received_at, last_delivery_at, "
                "object_type, object_id, object_key) VALUES ('evt_slow', 'customer.updated', :lane, :now, :now, :now, "
                "'customer', 'cus_1', :key)"
            ),
            {"lane": LANE, "now": clock.now(), "key": KEY},
        )
        position = slow.execute(text("SELECT position FROM billing_webhook_queue")).scalar_one()
        for number in range(4):
            store(engine, updates(1, name=NEIGHBOUR, first=number), clock.now())
            assert drain_once(unit_of_work) == 1
        assert rows(session, MARK, lane=LANE) == [(0,)]
        session.rollback()
        slow.commit()
    assert drain_once(unit_of_work) == 1
    assert rows(session, "SELECT status FROM billing_webhook_events WHERE event_id = 'evt_slow'") == [("quarantined",)]
    session.rollback()
    for number in range(4, 7):
        store(engine, updates(1, name=NEIGHBOUR, first=number), clock.now())
        assert drain_once(unit_of_work) == 1
    assert rows(session, MARK, lane=LANE)[0][0] > position


def test_the_mark_moves_on_while_a_snapshot_is_held_open(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    """What the lane has taken is not looked at again, although no vacuum can remove it."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as reader:
        reader.execute(text("SELECT count(*) FROM billing_webhook_queue"))
        marks = []
        for number in range(4):
            store(engine, updates(1, first=number), clock.now())
            assert drain_once(unit_of_work) == 1
            marks.append(rows(session, MARK, lane=LANE)[0][0])
            session.rollback()
        newest = session.execute(text("SELECT last_value FROM billing_webhook_queue_position_seq")).scalar_one()
        # the mark follows one batch behind: the batch that notes it cannot know who else is under way
        assert marks == [0, newest - 3, newest - 2, newest - 1]


def test_a_mark_of_another_cluster_is_replaced(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    """After a restore the noted transaction number may lie in the future of this cluster."""
    session.execute(text("UPDATE billing_lanes SET next_through = 999999, next_xid = '4611686018427387904'"))
    session.commit()
    for number in range(2):
        store(engine, updates(1, first=number), clock.now())
        assert drain_once(unit_of_work) == 1
    first = rows(session, "SELECT min(next_through) FROM billing_lanes WHERE lane = :lane", lane=LANE)[0][0]
    assert 0 < rows(session, MARK, lane=LANE)[0][0] < first < 999999


def test_a_wake_up_that_meets_a_busy_lane_is_not_lost(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    """An event lands after the holder's last claim, and its own consumer finds the lane taken and leaves."""
    store(engine, updates(1), clock.now())
    reports: list[DrainReport] = []

    class Interrupted(RecordingReactions):
        def on_level(self, snapshot: Snapshot) -> list[DirtyDraft]:
            if not reports:  # the first batch is claimed and not yet committed
                store(engine, updates(1, first=1), clock.now())
                reports.append(drain_lane(unit_of_work, RecordingReactions(), lane=LANE, batch_size=500))
            return super().on_level(snapshot)

    done = drain_lane(unit_of_work, Interrupted(), lane=LANE, batch_size=500)
    assert reports[0].busy
    assert (done.events, done.again) == (2, False)
    assert statuses(session) == [("applied", 2)]


def test_a_loud_lane_gives_way_after_its_time_and_asks_for_another_turn(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(engine, updates(6), clock.now())
    monkeypatch.setattr("billing_worker.inbox.services.drain_lanes.FAIR_SECONDS", 0.0)
    report = drain_lane(unit_of_work, RecordingReactions(), lane=LANE, batch_size=2)
    assert (report.batches, report.events, report.again) == (1, 2, True)
    woken: list[int] = []

    def wake(lane: int) -> bool:
        woken.append(lane)
        return True

    assert rescue_lanes(session, clock.now(), wake=wake) == 1
    assert woken == [LANE]
