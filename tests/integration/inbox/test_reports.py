"""What operators ask of the inbox, and the replay of a selection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox import reports
from billing_worker.inbox.duplicates import list_surplus
from billing_worker.inbox.reports import EventFilter
from billing_worker.inbox.services.deduplicate_events import Deduplicated, deduplicate_events
from billing_worker.inbox.services.replay_events import ReplaySelection
from billing_worker.inbox.services.replay_selection import ReplayReport, replay_selection
from billing_worker.inbox.states import EventStatus
from billing_worker.inbox.timings import list_slow, list_timings
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.errors import InvalidValueError, NotFoundError
from billing_worker.kernel.keys import lane_of
from tests.support.deliveries import EPOCH, RecordingReactions, customer, drain, event, rows, store, subscription

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def stored(engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    """Seven events, one delivered twice: five applied, one failed, one quarantined, one pending a minute later."""
    events = [
        event("customer.created", customer("cus_1"), event_id="evt_1", created=EPOCH),
        event("customer.updated", customer("cus_1"), event_id="evt_2", created=EPOCH + 20),
        event("customer.updated", customer("cus_1"), event_id="evt_3", created=EPOCH + 10),
        event("customer.subscription.created", subscription("sub_1"), event_id="evt_4", created=EPOCH + 5),
        event("widget.made", {"id": "wid_1", "object": "widget"}, event_id="evt_5"),
        {**event("customer.created", customer("cus_2"), event_id="evt_6"), "livemode": True},
    ]
    store(engine, [*events, events[0]], NOW)
    drain(unit_of_work, RecordingReactions())
    clock.advance(timedelta(minutes=1))
    store(engine, [event("customer.created", customer("cus_3"), event_id="evt_7")], clock.now())
    with unit_of_work.transaction() as session:
        rows(session, "UPDATE billing_webhook_events SET status = 'failed' WHERE event_id = 'evt_2' RETURNING 1")


def ids(session: Session, wanted: EventFilter, limit: int = 50) -> list[str]:
    return [each.event_id for each in reports.list_matching(session, wanted, limit=limit)]


@pytest.mark.usefixtures("stored")
def test_events_are_found_by_object_customer_type_state_and_time(session: Session) -> None:
    assert ids(session, EventFilter()) == [f"evt_{number}" for number in range(7, 0, -1)]
    assert ids(session, EventFilter(), limit=2) == ["evt_7", "evt_6"]
    # One object in Stripe's order; a customer with its subscription.
    assert ids(session, EventFilter(object_id="sub_1")) == ["evt_4"]
    assert ids(session, EventFilter(object_id="cus_1")) == ["evt_2", "evt_3", "evt_4", "evt_1"]
    assert ids(session, EventFilter(object_id="cus_1", type="customer.updated")) == ["evt_2", "evt_3"]
    # An object of a type nobody mirrors is found all the same.
    assert ids(session, EventFilter(object_id="wid_1")) == ["evt_5"]
    assert ids(session, EventFilter(object_id="sub_2")) == []
    assert ids(session, EventFilter(statuses=(EventStatus.FAILED, EventStatus.QUARANTINED))) == ["evt_6", "evt_2"]
    assert ids(session, EventFilter(since=NOW + timedelta(seconds=1))) == ["evt_7"]


@pytest.mark.usefixtures("stored")
def test_counts_agree_with_what_happened(session: Session) -> None:
    since_start = reports.count_rates(session, NOW)
    assert since_start == reports.IntakeRates(received=7, redelivered=1, applied=4, pending=1, failed=1, quarantined=1)
    assert reports.count_rates(session, NOW + timedelta(hours=1)) == reports.IntakeRates(0, 0, 0, 0, 0, 0)
    assert reports.find_last_delivery(session) == NOW + timedelta(minutes=1)
    assert reports.count_backlog(session) == reports.Backlog(1, NOW + timedelta(minutes=1), 1, 1, 0)
    assert [(each.type, each.failed, each.quarantined) for each in reports.list_type_failures(session, limit=5)] == [
        ("customer.created", 0, 1),
        ("customer.updated", 1, 0),
    ]
    assert reports.find_duplicates(session) == reports.Duplicates(7, 1, (), (), ())
    everything, *by_type = list_timings(session, since=NOW, limit=10)
    assert (everything.type, everything.events) == ("all", sum(each.events for each in by_type))
    assert {each.type for each in by_type} == {
        "customer.created",
        "customer.updated",
        "customer.subscription.created",
        "widget.made",
    }
    assert reports.list_unfinished_lanes(session) == []


@pytest.mark.usefixtures("stored")
def test_a_parked_object_does_not_count_as_waiting_for_nobody(session: Session) -> None:
    park = (
        "INSERT INTO billing_parked_objects SELECT object_key, lane, 'backoff', received_at, 1, 'r', 'd', received_at "
        "FROM billing_webhook_events WHERE event_id = 'evt_7' RETURNING 1"
    )
    rows(session, park)
    backlog = reports.count_backlog(session)
    assert (backlog.pending, backlog.oldest_pending_at, backlog.parked) == (1, None, 1)


@pytest.mark.usefixtures("stored")
def test_counting_stops_at_its_limit(session: Session) -> None:
    assert reports.count_backlog(session, at_most=0).failed == 0


@pytest.mark.usefixtures("stored")
def test_named_events_are_all_found_or_the_missing_ones_named(session: Session) -> None:
    assert [each.event_id for each in reports.get_named(session, ["evt_2", "evt_1"])] == ["evt_1", "evt_2"]
    assert reports.get_named(session, []) == []
    with pytest.raises(NotFoundError, match="not stored here: evt_8, evt_9;"):
        reports.get_named(session, ["evt_8", "evt_1", "evt_9"])


@pytest.mark.usefixtures("stored")
def test_a_selection_is_replayed_in_batches_and_ends_where_it_was(unit_of_work: UnitOfWork, session: Session) -> None:
    mirror = rows(session, "SELECT id, data, version FROM billing_customers ORDER BY id")
    effects = rows(session, "SELECT effect_key FROM billing_effects ORDER BY 1")
    session.rollback()
    woken: list[int] = []
    told: list[int] = []
    report = replay_selection(
        unit_of_work, ReplaySelection(object_id="cus_1"), wake=woken.append, batch_size=2, tell=told.append
    )
    lane = lane_of("/customer/cus_1")
    assert (report, told, woken) == (ReplayReport(events=3, lanes=1), [2, 3], [lane, lane])
    statuses = "SELECT event_id, status FROM billing_webhook_events WHERE object_id = 'cus_1' ORDER BY 1"
    assert rows(session, statuses) == [("evt_1", "pending"), ("evt_2", "pending"), ("evt_3", "pending")]
    session.rollback()
    drain(unit_of_work, RecordingReactions())
    assert rows(session, statuses) == [("evt_1", "applied"), ("evt_2", "applied"), ("evt_3", "applied")]
    assert rows(session, "SELECT id, data, version FROM billing_customers WHERE id = 'cus_1'") == mirror[:1]
    kept = "SELECT effect_key FROM billing_effects WHERE effect_key NOT LIKE '%evt_7' ORDER BY 1"
    assert rows(session, kept) == effects


@pytest.mark.usefixtures("stored")
def test_a_replay_long_after_does_not_look_like_a_long_wait(
    unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    before = list_timings(session, since=NOW, limit=1)
    session.rollback()
    clock.advance(timedelta(days=1))
    replay_selection(unit_of_work, ReplaySelection(event_ids=("evt_1",)), wake=lambda _lane: None)
    rows(session, "UPDATE billing_webhook_events SET status = 'discarded' WHERE event_id = 'evt_7' RETURNING 1")
    session.commit()
    drain(unit_of_work, RecordingReactions())
    [after] = list_timings(session, since=NOW, limit=1)
    assert (after.events, after.waited_max_ms) == (before[0].events, before[0].waited_max_ms) == (5, 0)


@pytest.mark.usefixtures("stored")
def test_replaying_everything_by_mistake_is_refused(unit_of_work: UnitOfWork, session: Session) -> None:
    before = rows(session, "SELECT event_id, status FROM billing_webhook_events ORDER BY id")
    session.rollback()
    woken: list[int] = []
    with pytest.raises(InvalidValueError, match="nothing selects the events"):
        replay_selection(unit_of_work, ReplaySelection(), wake=woken.append)
    assert replay_selection(unit_of_work, ReplaySelection(types=("no.such",)), wake=woken.append) == ReplayReport(0, 0)
    assert (woken, rows(session, "SELECT event_id, status FROM billing_webhook_events ORDER BY id")) == ([], before)


@pytest.mark.usefixtures("stored")
def test_slow_events_are_those_that_took_long_or_still_wait(session: Session, clock: FixedClock) -> None:
    def slow(seconds: int) -> list[tuple[str, str, int]]:
        since = NOW - timedelta(hours=1)
        found = list_slow(session, threshold=timedelta(seconds=seconds), since=since, now=clock.now(), limit=10)
        return [(one.event_id, one.status, one.waited_ms) for one in found]

    assert slow(5) == []
    rows(session, "UPDATE billing_webhook_events SET applied_ms = 7000 WHERE event_id = 'evt_3' RETURNING 1")
    clock.advance(timedelta(seconds=6))
    assert slow(5) == [("evt_3", "applied", 0), ("evt_7", "pending", 6000)]
    assert slow(7) == [("evt_3", "applied", 0)]


def test_an_event_under_two_accounts_is_one_event(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    told = event("customer.created", customer("cus_1"), event_id="evt_1")
    connected = {**told, "account": "acct_1"}
    other = {**event("customer.created", customer("cus_9"), event_id="evt_1"), "account": "acct_2"}
    store(engine, [told], clock.now())
    assert reports.find_duplicates(session).under_two_accounts == ()
    store(engine, [connected, connected, other], clock.now())
    drain(unit_of_work, RecordingReactions())
    late = {**told, "account": "acct_3"}
    store(engine, [late], clock.now())
    [first, second] = list_surplus(session, limit=5)
    assert (first.account_id, first.status, first.first_row_id) == ("acct_1", EventStatus.APPLIED, 1)
    assert (second.account_id, second.status, second.first_account_id) == ("acct_3", EventStatus.PENDING, "")
    assert reports.find_duplicates(session).under_two_accounts == ("evt_1", "evt_1")
    session.rollback()
    assert deduplicate_events(unit_of_work) == Deduplicated(marked=2, effects_stopped=1)
    assert deduplicate_events(unit_of_work) == Deduplicated()
    assert drain(unit_of_work, RecordingReactions()) == 0
    assert rows(session, "SELECT account_id, status, detail FROM billing_webhook_events ORDER BY id") == [
        ("", "applied", ""),
        ("acct_1", "duplicate", "the same event is row 1"),
        ("acct_2", "applied", ""),
        ("acct_3", "duplicate", "the same event is row 1"),
    ]
    assert rows(session, "SELECT account_id, status FROM billing_effects ORDER BY 1") == [
        ("", "pending"),
        ("acct_1", "skipped"),
        ("acct_2", "pending"),
    ]
    assert reports.find_duplicates(session).under_two_accounts == ()
