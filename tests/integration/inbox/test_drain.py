from __future__ import annotations

import random
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, try_lock
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.finish import MAX_ATTEMPTS
from billing_worker.inbox.services.drain_lane import drain_lane
from billing_worker.kernel.clock import FixedClock
from tests.support.deliveries import (
    EPOCH,
    RecordingReactions,
    customer,
    drain,
    event,
    rows,
    store,
    subscription,
)

STATUSES = "SELECT event_id, status, superseded, order_unproven, reason FROM billing_webhook_events ORDER BY event_id"
CUSTOMERS = "SELECT id, email, deleted_at IS NOT NULL, order_unproven FROM billing_customers ORDER BY id"


def test_events_of_one_object_end_as_its_newest_row(engine: Engine, unit_of_work: UnitOfWork, session: Session) -> None:
    history = [
        event("customer.created", customer(email="a@x.io"), created=EPOCH, event_id="evt_1"),
        event("customer.updated", customer(email="b@x.io"), created=EPOCH + 5, event_id="evt_2"),
        event("customer.updated", customer(email="c@x.io"), created=EPOCH + 9, event_id="evt_3"),
    ]
    random.Random(1).shuffle(history)
    store(engine, history, unit_of_work.now())
    assert drain(unit_of_work, RecordingReactions()) == 3
    assert rows(session, CUSTOMERS) == [("cus_1", "c@x.io", False, False)]
    assert [row[:2] for row in rows(session, STATUSES)] == [(f"evt_{n}", "applied") for n in (1, 2, 3)]
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(3,)]
    assert rows(session, "SELECT kind, subject_id FROM billing_dirty_marks") == [("test_level", "cus_1")]


def test_an_older_event_that_comes_later_changes_nothing_but_its_fact_counts(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    store(engine, [event("customer.updated", customer(email="new@x.io"), created=EPOCH + 9)], unit_of_work.now())
    drain(unit_of_work, RecordingReactions())
    late = event("customer.created", customer(email="old@x.io"), created=EPOCH, event_id="evt_late")
    store(engine, [late], unit_of_work.now())
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "new@x.io", False, False)]
    assert rows(session, "SELECT superseded FROM billing_webhook_events WHERE event_id = 'evt_late'") == [(True,)]
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(2,)]


def test_a_redelivery_of_an_applied_event_is_counted_and_not_applied_again(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    one = event("customer.created", customer(), event_id="evt_1")
    store(engine, [one, one], unit_of_work.now())
    assert drain(unit_of_work, RecordingReactions()) == 1
    store(engine, [one], unit_of_work.now())
    assert drain(unit_of_work, RecordingReactions()) == 0
    assert rows(session, "SELECT deliveries, status FROM billing_webhook_events") == [(3, "applied")]


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_a_chain_inside_one_second_is_followed_from_the_known_start(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, batches: int
) -> None:
    start = event("customer.created", customer(email="a@x.io"), created=EPOCH)
    flip = event("customer.updated", customer(email="b@x.io"), previous={"email": "a@x.io"}, created=EPOCH + 1)
    back = event("customer.updated", customer(email="a@x.io"), previous={"email": "b@x.io"}, created=EPOCH + 1)
    arrivals = [[back, start, flip], [back, start], [flip]][: 1 if batches == 1 else 3]
    if batches == 2:
        arrivals = [[start, back], [flip]]
    if batches == 3:
        arrivals = [[start], [flip], [back]]
    for arrival in arrivals:
        store(engine, arrival, unit_of_work.now())
        drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "a@x.io", False, False)]
    assert rows(session, "SELECT count(*) FROM billing_parked_objects") == [(0,)]


def test_a_second_without_proof_waits_for_a_fetch_and_holds_up_nobody_else(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    unclear = [event("customer.updated", customer(email=f"{n}@x.io"), created=EPOCH) for n in range(2)]
    other = event("customer.updated", customer("cus_2", email="ok@x.io"))
    store(engine, [*unclear, other], unit_of_work.now())
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_2", "ok@x.io", False, False)]
    assert rows(session, "SELECT object_key, waits_for FROM billing_parked_objects") == [("/customer/cus_1", "fetch")]
    assert rows(session, "SELECT count(*) FROM billing_webhook_events WHERE status = 'pending'") == [(2,)]


def test_a_failing_event_parks_its_object_only_and_ends_as_a_dead_letter(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    poison = event("customer.updated", customer(email="x@x.io"), created=EPOCH, event_id="evt_poison")
    behind = event("customer.updated", customer(email="y@x.io"), created=EPOCH + 5, event_id="evt_behind")
    other = event("customer.updated", customer("cus_2", email="ok@x.io"), event_id="evt_other")
    store(engine, [poison, other], unit_of_work.now())
    reactions = RecordingReactions(fail_on=frozenset({"evt_poison"}))
    drain(unit_of_work, reactions)
    store(engine, [behind], unit_of_work.now())
    drain(unit_of_work, reactions)
    assert rows(session, CUSTOMERS) == [("cus_2", "ok@x.io", False, False)]
    for _ in range(MAX_ATTEMPTS):
        clock.advance(timedelta(hours=1))
        drain(unit_of_work, reactions)
    ends = dict(rows(session, "SELECT event_id, status FROM billing_webhook_events"))
    assert ends == {"evt_poison": "failed", "evt_behind": "applied", "evt_other": "applied"}
    assert rows(session, "SELECT attempts, reason FROM billing_webhook_events WHERE status = 'failed'") == [
        (MAX_ATTEMPTS - 1, "attempts_exhausted")
    ]
    assert rows(session, "SELECT count(*) FROM billing_parked_objects") == [(0,)]
    store(engine, [poison], unit_of_work.now())
    drain(unit_of_work, RecordingReactions())
    assert rows(session, "SELECT status FROM billing_webhook_events WHERE event_id = 'evt_poison'") == [("applied",)]


def test_a_lane_that_is_taken_is_left_to_its_holder(engine: Engine, unit_of_work: UnitOfWork) -> None:
    stored = store(engine, [event("customer.created", customer())], unit_of_work.now())
    lane = stored[0].lane
    with Session(engine) as holder, holder.begin():
        assert try_lock(holder, LockClass.LANE, lane)
        report = drain_lane(unit_of_work, RecordingReactions(), lane=lane, batch_size=10)
    assert (report.busy, report.events) == (True, 0)
    assert drain(unit_of_work, RecordingReactions()) == 1


def test_an_unfinished_batch_is_halved_and_the_killer_found(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    # Objects of one lane, stored in order; the note of a dead worker names all four.
    events = [event("customer.created", customer(f"cus_{n}")) for n in range(400)]
    stored = store(engine, events, unit_of_work.now())
    lane = stored[0].lane
    ids = [one.row_id for one in stored if one.lane == lane][:4]

    session.execute(
        text("UPDATE billing_lanes SET batch_row_ids = :ids WHERE lane = :lane"), {"ids": ids, "lane": lane}
    )
    session.commit()
    report = drain_lane(unit_of_work, RecordingReactions(), lane=lane, batch_size=500)
    in_lane = sum(1 for one in stored if one.lane == lane)
    assert report.events == in_lane > 4
    # two events first, then four, then the rest: half of what the dead worker had, doubled while it goes well
    assert report.batches == 3
    assert rows(session, "SELECT batch_row_ids FROM billing_lanes WHERE lane = :lane", lane=lane) == [(None,)]


def test_an_event_that_killed_its_worker_three_times_alone_is_failed_as_such(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    stored = store(engine, [event("customer.created", customer(), event_id="evt_killer")], unit_of_work.now())
    session.execute(
        text("UPDATE billing_lanes SET batch_row_ids = :ids, crashes = 2 WHERE lane = :lane"),
        {"ids": [stored[0].row_id], "lane": stored[0].lane},
    )
    session.commit()
    drain(unit_of_work, RecordingReactions())
    assert rows(session, STATUSES) == [("evt_killer", "failed", False, False, "crashed_worker")]
    assert rows(session, "SELECT count(*) FROM billing_customers") == [(0,)]


def test_old_shapes_are_moved_and_wrong_ones_quarantined_alone(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    old = subscription(current_period_start=EPOCH, current_period_end=EPOCH + 86400)
    old["items"] = {"object": "list", "data": [{"id": "si_1", "price": {"id": "price_1"}, "quantity": 2}]}
    wrong = subscription("sub_2", status=None)
    store(
        engine,
        [event("customer.subscription.updated", old), event("customer.subscription.updated", wrong, event_id="evt_w")],
        unit_of_work.now(),
    )
    drain(unit_of_work, RecordingReactions())
    found = rows(
        session, "SELECT id, price_id, quantity, extract(epoch FROM current_period_end)::int FROM billing_subscriptions"
    )
    assert found == [("sub_1", "price_1", 2, EPOCH + 86400)]
    assert rows(session, "SELECT status, reason, detail FROM billing_webhook_events WHERE event_id = 'evt_w'") == [
        ("quarantined", "missing_field", "subscription.status is required and absent")
    ]


def test_types_without_a_mirror_are_kept_as_ignored(engine: Engine, unit_of_work: UnitOfWork, session: Session) -> None:
    store(
        engine, [event("climate.order.created", {"id": "climorder_1", "object": "climate.order"})], unit_of_work.now()
    )
    drain(unit_of_work, RecordingReactions())
    assert [row[1] for row in rows(session, STATUSES)] == ["ignored"]
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(0,)]


def test_a_replayed_event_repeats_no_effect_and_leaves_the_row(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    history = [
        event("customer.created", customer(email="a@x.io"), created=EPOCH),
        event("customer.updated", customer(email="b@x.io"), created=EPOCH + 5),
    ]
    store(engine, history, unit_of_work.now())
    drain(unit_of_work, RecordingReactions())
    before = rows(session, "SELECT data, version, version_row_id FROM billing_customers")
    session.execute(text("UPDATE billing_webhook_events SET status = 'pending'"))
    session.commit()
    assert drain(unit_of_work, RecordingReactions()) == 2
    assert rows(session, "SELECT data, version, version_row_id FROM billing_customers") == before
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(2,)]
