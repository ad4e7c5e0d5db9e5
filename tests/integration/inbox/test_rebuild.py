"""Rebuilding from events, and pruning: what is kept of an object rebuilds the same state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.partitions import ensure_partitions
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.order import canonical
from billing_worker.inbox.rebuilt import Rebuilt
from billing_worker.inbox.services.fetch_parked import fetch_parked
from billing_worker.inbox.services.ingest_snapshot import ingest_snapshot
from billing_worker.inbox.services.prune_payloads import PruneReport, TableInUseError, prune_payloads
from billing_worker.inbox.services.rebuild_object import rebuild_object
from billing_worker.inbox.services.settle_rows import settle_rows
from billing_worker.inbox.services.write_rebuilt import RebuildRefusedError, write_rebuilt
from billing_worker.inbox.states import Source
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.errors import NotFoundError
from billing_worker.kernel.keys import lane_of, object_key
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeNotFound, StripeUnavailable
from tests.integration.inbox.test_law import EVERYTHING, History, Truth, histories
from tests.support.deliveries import EPOCH, RecordingReactions, customer, drain, event, rows, store, subscription

KEEP = timedelta(days=35)
JANUARY = datetime(2026, 1, 10, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 10, tzinfo=UTC)
MARCH = datetime(2026, 3, 20, tzinfo=UTC)
"""On this day January is older than 35 days, and February is not."""


class Stripe:
    """Stripe as it answers for single objects: None stands for 404, without a table it is unreachable."""

    def __init__(self, objects: dict[str, dict[str, Any] | None] | None) -> None:
        self._objects = objects

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        assert (object_type, account_id) in {("customer", ""), ("subscription", "")}
        if self._objects is None:
            raise StripeUnavailable("no answer from Stripe")
        if (data := self._objects[object_id]) is None:
            raise StripeNotFound(object_id)
        return Retrieved(data=data, observed_at=MARCH)


AWAY = Stripe(None)


def to(clock: FixedClock, moment: datetime) -> datetime:
    clock.advance(moment - clock.now())
    return moment


def write(unit_of_work: UnitOfWork, rebuilt: Rebuilt) -> int:
    with unit_of_work.transaction() as session:
        ids = write_rebuilt(session, rebuilt)
    return settle_rows(
        unit_of_work,
        RecordingReactions(),
        ids,
        lane=lane_of(rebuilt.object_key),
        sleep=lambda _seconds: None,
    )


def state_of(rebuilt: Rebuilt) -> tuple[Any, ...]:
    state = rebuilt.log.state
    if state is None:
        return ()
    return (canonical(state.snapshot), state.version, state.row.event_id, state.deleted, state.proven)


def two_changes() -> list[dict[str, Any]]:
    return [
        event("customer.subscription.created", subscription(status="trialing"), event_id="evt_1"),
        event("customer.subscription.updated", subscription(), created=EPOCH + 5, event_id="evt_2"),
    ]


def test_a_mirror_row_changed_by_hand_is_found_and_written_again(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    store(engine, two_changes(), unit_of_work.now())
    drain(unit_of_work, RecordingReactions())
    key, truth = object_key("", "subscription", "sub_1"), Stripe({"sub_1": subscription()})
    assert rebuild_object(unit_of_work, truth, key).differences == ()
    session.execute(
        text("UPDATE billing_subscriptions SET status = 'canceled', data = jsonb_set(data, '{quantity}', '7')")
    )
    session.commit()
    found = rebuild_object(unit_of_work, truth, key)
    assert [(one.field, one.log, one.mirror, one.stripe) for one in found.differences] == [
        ("quantity", None, 7, None),
        ("column.status", "active", "canceled", "?"),
    ]
    assert (found.mirror_differs, found.stripe_differs, found.log.folded) == (True, False, 2)
    assert write(unit_of_work, found) == 0
    assert rebuild_object(unit_of_work, truth, key).differences == ()
    assert rows(session, "SELECT status, data ? 'quantity' FROM billing_subscriptions") == [("active", False)]
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(2,)]
    session.execute(text("DELETE FROM billing_subscriptions"))
    session.commit()
    gone = rebuild_object(unit_of_work, AWAY, key)
    assert [(one.field, one.log, one.mirror, one.stripe) for one in gone.differences] == [
        ("object", "present", "absent", "?")
    ]
    assert gone.as_facts()["stripe"] == "unknown: no answer from Stripe"
    assert write(unit_of_work, gone) == 0
    assert rows(session, "SELECT id, status FROM billing_subscriptions") == [("sub_1", "active")]


def test_it_is_refused_to_write_what_stripe_or_the_log_contradicts(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    store(engine, two_changes(), unit_of_work.now())
    drain(unit_of_work, RecordingReactions())
    key = object_key("", "subscription", "sub_1")
    session.execute(text("UPDATE billing_subscriptions SET status = 'canceled'"))
    session.commit()

    def refusal(objects: dict[str, dict[str, Any] | None] | None) -> str:
        with pytest.raises(RebuildRefusedError) as refused:
            write(unit_of_work, rebuild_object(unit_of_work, Stripe(objects), key))
        return str(refused.value)

    paused = rebuild_object(unit_of_work, Stripe({"sub_1": subscription(status="paused")}), key)
    assert [(one.field, one.log, one.mirror, one.stripe) for one in paused.differences] == [
        ("column.status", "active", "canceled", "?"),
        ("status", "active", "active", "paused"),
    ]
    assert "webhook certify --since 30d" in refusal({"sub_1": subscription(status="paused")})
    assert "reconcile --type subscription" in refusal({"sub_1": None})
    session.execute(text("UPDATE billing_subscriptions SET version = version + interval '1 day'"))
    session.commit()
    assert "newer than anything in the log" in refusal(None)
    store(engine, [event("customer.subscription.updated", subscription(), created=EPOCH + 9)], unit_of_work.now())
    assert "1 events of it are not applied yet" in refusal(None)
    session.execute(text("DELETE FROM billing_webhook_payloads"))
    session.commit()
    assert "not complete" in refusal(None) or "no applied event" in refusal(None)
    assert rows(session, "SELECT status FROM billing_subscriptions") == [("canceled",)]
    assert rows(session, "SELECT status, count(*) FROM billing_webhook_events GROUP BY 1 ORDER BY 1") == [
        ("applied", 2),
        ("pending", 1),
    ]
    with pytest.raises(NotFoundError):
        rebuild_object(unit_of_work, AWAY, object_key("", "customer", "cus_9"))


def test_a_deleted_object_agrees_with_a_stub_and_with_nothing(engine: Engine, unit_of_work: UnitOfWork) -> None:
    store(
        engine,
        [event("customer.created", customer()), event("customer.deleted", customer(), created=EPOCH + 3)],
        unit_of_work.now(),
    )
    drain(unit_of_work, RecordingReactions())
    key = object_key("", "customer", "cus_1")
    for answer in ({"id": "cus_1", "object": "customer", "deleted": True}, None):
        assert rebuild_object(unit_of_work, Stripe({"cus_1": answer}), key).differences == ()
    [one] = rebuild_object(unit_of_work, Stripe({"cus_1": customer()}), key).differences
    assert (one.field, one.log, one.mirror, one.stripe) == ("object", "deleted", "deleted", "present")


@pytest.fixture
def year(unit_of_work: UnitOfWork) -> None:
    with unit_of_work.transaction() as session:
        ensure_partitions(session, JANUARY)


@pytest.mark.usefixtures("year")
def test_a_month_is_dropped_and_ids_rows_and_the_last_state_stay(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    kept = [event("customer.updated", customer(name="b"), created=EPOCH + 5, event_id="evt_2")]
    first = [event("customer.created", customer(name="a"), event_id="evt_1"), *kept]
    unknown = event("widget.made", {"id": "wid_1", "object": "widget"}, event_id="evt_widget")
    waits = {**event("customer.created", customer("cus_2"), event_id="evt_quarantined"), "livemode": True}
    store(engine, [*first, unknown, waits], to(clock, JANUARY))
    drain(unit_of_work, RecordingReactions())
    with unit_of_work.transaction() as writing:
        for name in ("c", "d"):
            at = EPOCH + 20 + ord(name)
            ingest_snapshot(
                writing,
                account_id="",
                obj=customer(name=name),
                source=Source.RECONCILE,
                observed_at=datetime.fromtimestamp(at, tz=UTC),
                now=clock.now(),
            )
    drain(unit_of_work, RecordingReactions())
    to(clock, MARCH)
    before = rebuild_object(unit_of_work, AWAY, "/customer/cus_1")
    assert prune_payloads(unit_of_work, keep=timedelta(days=400)) == PruneReport()
    with Session(engine) as reader, reader.begin():
        reader.execute(text("SELECT count(*) FROM billing_webhook_payloads"))
        with pytest.raises(TableInUseError):
            prune_payloads(unit_of_work, keep=KEEP)
    assert rows(session, "SELECT count(*) FROM billing_webhook_payloads_2026_01") == [(6,)]
    report = prune_payloads(unit_of_work, keep=KEEP)
    assert (report.months, report.held) == (["2025-12", "2026-01"], [])
    assert rows(session, "SELECT to_regclass('billing_webhook_payloads_2026_01') IS NULL") == [(True,)]
    bodies = (
        "SELECT e.type, e.event_id LIKE 'snap%' FROM billing_webhook_payloads p "
        "JOIN billing_webhook_events e ON e.id = p.event_row_id ORDER BY e.id"
    )
    assert rows(session, bodies) == [
        ("customer.updated", False),
        ("customer.created", False),
        ("nself.snapshot", True),
    ]
    assert rows(session, "SELECT count(*) FROM billing_webhook_events") == [(6,)]
    after = rebuild_object(unit_of_work, AWAY, "/customer/cus_1")
    assert state_of(after) == state_of(before)
    assert (after.differences, after.log.pruned, after.log.lost) == ((), 2, 0)
    assert after.log.baseline_at == datetime.fromtimestamp(EPOCH + 5, tz=UTC)
    assert prune_payloads(unit_of_work, keep=KEEP) == PruneReport()


@pytest.mark.usefixtures("year")
def test_a_shared_second_keeps_the_state_that_proves_it(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    names = [
        event("customer.created", customer(name="a"), event_id="evt_start"),
        event("customer.updated", customer(name="b"), event_id="evt_old", created=EPOCH + 1),
        event("customer.updated", customer(name="a"), event_id="evt_base", created=EPOCH + 2),
    ]
    there = event("customer.updated", customer(name="b"), previous={"name": "a"}, created=EPOCH + 3, event_id="evt_b")
    back = event("customer.updated", customer(name="a"), previous={"name": "b"}, created=EPOCH + 3, event_id="evt_a")
    # As it arrived, the customer would be called b.
    store(engine, [*names, back, there], to(clock, JANUARY))
    drain(unit_of_work, RecordingReactions())
    to(clock, MARCH)
    before = rebuild_object(unit_of_work, AWAY, "/customer/cus_1")
    assert (state_of(before)[2], state_of(before)[4]) == ("evt_a", True)
    prune_payloads(unit_of_work, keep=KEEP)
    assert state_of(rebuild_object(unit_of_work, AWAY, "/customer/cus_1")) == state_of(before)
    kept = "SELECT e.event_id FROM billing_webhook_payloads p JOIN billing_webhook_events e ON e.id = p.event_row_id"
    assert sorted(rows(session, kept)) == [("evt_a",), ("evt_b",), ("evt_base",)]
    # The next month's pruning replaces the baseline: what it kept before is deleted.
    store(engine, [event("customer.updated", customer(name="z"), created=EPOCH + 9, event_id="evt_z")], FEBRUARY)
    drain(unit_of_work, RecordingReactions())
    to(clock, MARCH + timedelta(days=31))
    assert prune_payloads(unit_of_work, keep=KEEP).months == ["2026-02"]
    assert rows(session, kept) == [("evt_z",)]
    assert rows(session, "SELECT body, pruned_until::date::text FROM billing_object_baselines") == [
        ({"event_ids": ["evt_z"]}, "2026-03-01")
    ]


@pytest.mark.usefixtures("year")
def test_a_run_that_died_is_taken_up_where_it_lies(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    store(engine, two_changes(), to(clock, JANUARY))
    drain(unit_of_work, RecordingReactions())
    to(clock, MARCH)
    before = rebuild_object(unit_of_work, AWAY, "/subscription/sub_1")
    for step in ("DETACH PARTITION billing.billing_webhook_payloads_2026_01", "RENAME"):
        table = "billing.billing_webhook_payloads" + ("" if step.startswith("DETACH") else "_2026_01")
        to_name = "" if step.startswith("DETACH") else " TO billing_webhook_payloads_2026_01_detached"
        session.execute(text(f"ALTER TABLE {table} {step}{to_name}"))
    session.commit()
    halfway = rebuild_object(unit_of_work, AWAY, "/subscription/sub_1")
    assert (halfway.log.lost, halfway.log.state) == (2, None)
    assert prune_payloads(unit_of_work, keep=KEEP).months == ["2026-01", "2025-12"]
    assert state_of(rebuild_object(unit_of_work, AWAY, "/subscription/sub_1")) == state_of(before)


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories(), data=st.data())
def test_a_rebuild_is_the_mirror_before_and_after_pruning(
    engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock, history: History, data: st.DataObject
) -> None:
    with Session(engine) as session:
        session.execute(text(f"TRUNCATE {EVERYTHING}, billing_object_baselines CASCADE"))
        ensure_partitions(session, JANUARY)
        session.commit()
    deliveries = data.draw(st.permutations(history))
    cut = data.draw(st.integers(1, len(deliveries)))
    for at, part in ((JANUARY, deliveries[:cut]), (FEBRUARY, deliveries[cut:])):
        store(engine, part, to(clock, at))
        drain(unit_of_work, RecordingReactions())
    to(clock, MARCH)
    while fetch_parked(unit_of_work, Truth(history), wake=lambda _lane: True):
        drain(unit_of_work, RecordingReactions())
    kinds = {"cus": "customer", "sub": "subscription"}
    ids = {str(one["data"]["object"]["id"]) for one in history}
    keys = [object_key("", kinds[object_id[:3]], object_id) for object_id in sorted(ids)]
    before = [rebuild_object(unit_of_work, AWAY, key) for key in keys]
    assert [one.differences for one in before] == [()] * len(keys)
    assert "2026-01" in prune_payloads(unit_of_work, keep=KEEP).months
    after = [rebuild_object(unit_of_work, AWAY, key) for key in keys]
    assert [one.differences for one in after] == [()] * len(keys)
    assert [state_of(one) for one in after] == [state_of(one) for one in before]
    assert [one.log.lost for one in after] == [0] * len(keys)
    # Written from its baseline the object is the same again.
    assert [write(unit_of_work, one) for one in after] == [0] * len(keys)
    assert [rebuild_object(unit_of_work, AWAY, key).differences for key in keys] == [()] * len(keys)
