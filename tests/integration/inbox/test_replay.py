"""Replaying: effects stay as they are unless mail is asked for again, and what is pruned is named or fetched."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.notifications.rules import KINDS
from billing_worker.inbox.replayed_effects import Fate, list_replayed_effects, repeat_called_for
from billing_worker.inbox.services.list_fetchable import list_fetchable
from billing_worker.inbox.services.refetch_events import refetch_events
from billing_worker.inbox.services.replay_events import ReplaySelection, list_replayable
from billing_worker.inbox.services.replay_selection import ReplayReport, replay_selection
from billing_worker.inbox.services.require_repeatable import EffectsNotRepeatableError, require_repeatable
from billing_worker.inbox.states import EventStatus
from billing_worker.kernel.clock import FixedClock, from_unix
from billing_worker.routing.table import DISPATCHER
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeNotFound, StripeUnavailable
from tests.support.deliveries import EPOCH, customer, drain, event, rows, store

INVOICE = {"id": "in_1", "object": "invoice", "customer": "cus_1", "status": "paid", "currency": "usd"}
CHARGE = {"id": "ch_1", "object": "charge", "customer": "cus_1", "status": "succeeded", "amount": 1000}
PAID = event("invoice.paid", {**INVOICE, "amount_paid": 1000}, event_id="evt_paid")
CHARGED = event(
    "charge.succeeded", {**CHARGE, "currency": "usd", "created": EPOCH, "captured": True}, event_id="evt_charge"
)
EFFECTS = "SELECT effect_key, kind, status FROM billing_effects ORDER BY id"
DONE = "UPDATE billing_effects SET status = 'done'"


class Stripe:
    """Stripe's list of events as single reads find it."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self._events = {one["id"]: one for one in events}
        self.asked: list[tuple[str, str]] = []

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        assert object_type == "event"
        self.asked.append((account_id, object_id))
        if object_id == "evt_trouble":
            raise StripeUnavailable("no answer from Stripe")
        if object_id not in self._events:
            raise StripeNotFound(object_id)
        return Retrieved(data=self._events[object_id], observed_at=from_unix(EPOCH))


def fates(
    unit_of_work: UnitOfWork, selection: ReplaySelection, *, again: tuple[str, ...] = ()
) -> list[tuple[Any, ...]]:
    with unit_of_work.transaction() as session:
        events = list_replayable(session, selection)
        found = list_replayed_effects(session, events, DISPATCHER, again=again, now=unit_of_work.now())
    return [(one.kind, one.status, one.fate) for one in found]


def replay(unit_of_work: UnitOfWork, selection: ReplaySelection, *, again: tuple[str, ...] = ()) -> ReplayReport:
    repeat = partial(repeat_called_for, reactions=DISPATCHER, again=again, now=unit_of_work.now())
    report = replay_selection(unit_of_work, selection, wake=lambda _lane: None, repeat=repeat if again else None)
    drain(unit_of_work, DISPATCHER)
    return report


def test_a_replay_repeats_nothing_and_says_so_before(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    clock.advance(from_unix(EPOCH + 60) - clock.now())
    store(engine, [PAID, CHARGED], clock.now())
    everything = ReplaySelection(types=("invoice.paid", "charge.succeeded"))
    with unit_of_work.transaction() as failing:
        failing.execute(text("UPDATE billing_webhook_events SET status = 'failed'"))
    first = [
        ("dunning.settle", "", Fate.FIRST),
        ("mail.invoice_paid", "", Fate.FIRST),
        ("payments.record_transaction", "", Fate.FIRST),
    ]
    assert fates(unit_of_work, everything) == first
    assert replay(unit_of_work, everything).events == 2
    before = rows(session, EFFECTS)
    assert sorted((kind, status) for _, kind, status in before) == [(kind, "pending") for kind, _, _ in first]
    assert fates(unit_of_work, everything, again=KINDS) == [(kind, "pending", Fate.KEPT) for kind, _, _ in first], (
        "what still waits its turn happens anyway"
    )
    assert (replay(unit_of_work, everything).events, rows(session, EFFECTS)) == (2, before)


def test_mail_is_sent_again_under_a_key_of_its_own_and_money_never(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    clock.advance(from_unix(EPOCH + 60) - clock.now())
    store(engine, [PAID, CHARGED], clock.now())
    drain(unit_of_work, DISPATCHER)
    session.execute(text(DONE))
    session.commit()
    paid, charged = ReplaySelection(event_ids=("evt_paid",)), ReplaySelection(event_ids=("evt_charge",))
    assert fates(unit_of_work, paid, again=KINDS) == [
        ("dunning.settle", "done", Fate.KEPT),
        ("mail.invoice_paid", "done", Fate.AGAIN),
    ]
    require_repeatable(unit_of_work, paid, DISPATCHER, again=KINDS)
    for number in (1, 2):
        report = replay(unit_of_work, paid, again=KINDS)
        assert report.repeated == (f"mail:invoice_paid:in_1:paid#replay{number}",)
    assert rows(session, "SELECT kind, status, count(*) FROM billing_effects GROUP BY 1, 2 ORDER BY 1, 2") == [
        ("dunning.settle", "done", 1),
        ("mail.invoice_paid", "done", 1),
        ("mail.invoice_paid", "pending", 2),
        ("payments.record_transaction", "done", 1),
    ]
    with pytest.raises(EffectsNotRepeatableError, match=r"payments\.record_transaction move money"):
        require_repeatable(unit_of_work, charged, DISPATCHER, again=KINDS)
    assert replay(unit_of_work, charged, again=KINDS).repeated == ()
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(5,)]
    # Years later the news is old: a first mail would be skipped, a wanted repetition is not.
    clock.advance(from_unix(EPOCH + 10**8) - clock.now())
    assert replay(unit_of_work, paid, again=KINDS).repeated == ("mail:invoice_paid:in_1:paid#replay3",)
    session.execute(text("DELETE FROM billing_effects"))
    session.commit()
    assert fates(unit_of_work, paid)[1] == ("mail.invoice_paid", "", Fate.LATE)


def test_what_is_pruned_is_left_as_it_is_and_named_or_fetched(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    connected = {**event("customer.created", customer("cus_2"), event_id="evt_connected"), "account": "acct_1"}
    store(engine, [PAID, CHARGED, connected], unit_of_work.now())
    drain(unit_of_work, DISPATCHER)
    session.execute(
        text(
            "DELETE FROM billing_webhook_payloads p USING billing_webhook_events e "
            "WHERE e.id = p.event_row_id AND event_id <> 'evt_charge'"
        )
    )
    session.commit()
    everything = ReplaySelection(status=EventStatus.APPLIED)
    report = replay(unit_of_work, everything)
    assert (report.events, report.left_out) == (1, {"pruned": 2})
    assert report.left_out_ids == ("evt_paid", "evt_connected")
    assert rows(session, "SELECT DISTINCT status FROM billing_webhook_events") == [("applied",)]

    named = ReplaySelection(event_ids=("evt_paid", "evt_connected", "evt_charge", "evt_new", "evt_old", "evt_erased"))
    with unit_of_work.transaction() as reading:
        wanted = list_fetchable(reading, named)
    assert sorted(wanted) == [
        ("", "evt_erased"),
        ("", "evt_new"),
        ("", "evt_old"),
        ("", "evt_paid"),
        ("acct_1", "evt_connected"),
    ]
    session.execute(
        text("INSERT INTO billing_erasures (customer_id, erased_at, reason) VALUES ('cus_gone', now(), 'asked')")
    )
    session.commit()
    new = event("customer.created", customer("cus_3"), event_id="evt_new")
    erased = event("customer.created", customer("cus_gone"), event_id="evt_erased")
    bare = {name: value for name, value in connected.items() if name != "account"}
    stripe = Stripe(PAID, new, erased, bare)
    fetched = refetch_events(unit_of_work, stripe, wanted, livemode=False)
    assert (fetched.stored, sorted(fetched.restored)) == (["evt_new"], ["evt_connected", "evt_paid"])
    assert (fetched.gone, fetched.erased, len(fetched.lanes)) == (["evt_old"], ["evt_erased"], 1)
    assert sorted(stripe.asked) == sorted(wanted)
    report = replay(unit_of_work, named)
    assert (report.events, report.left_out) == (3, {})
    stored = "SELECT event_id, account_id, source, status, deliveries FROM billing_webhook_events ORDER BY 1"
    assert rows(session, stored) == [
        ("evt_charge", "", "webhook", "applied", 1),
        ("evt_connected", "acct_1", "webhook", "applied", 1),
        ("evt_new", "", "events_api", "applied", 1),
        ("evt_paid", "", "webhook", "applied", 1),
    ]
    # Stripe failing in the middle keeps what was fetched; asking again goes on.
    with pytest.raises(StripeUnavailable):
        refetch_events(unit_of_work, stripe, [("", "evt_trouble")], livemode=False)


def test_what_intake_refused_for_good_is_not_replayed_by_whoever_asks(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    live = {**event("customer.created", customer("cus_live"), event_id="evt_live"), "livemode": True}
    nul = event("customer.created", customer("cus_nul", name="a\0b"), event_id="evt_nul")
    unreadable = {"id": "evt_none", "object": "event"}
    shapeless = event("invoice.paid", {"id": "in_2", "object": "invoice"}, event_id="evt_shapeless")
    store(engine, [live, nul, unreadable, shapeless], unit_of_work.now())
    drain(unit_of_work, DISPATCHER)
    before = rows(session, "SELECT id, status, reason FROM billing_webhook_events ORDER BY id")
    assert [(status, reason) for _, status, reason in before] == [
        ("quarantined", "other_mode"),
        ("quarantined", "unstorable_text"),
        ("quarantined", "missing_key"),
        ("quarantined", "missing_field"),
    ]
    for selection in (ReplaySelection(status=EventStatus.QUARANTINED), ReplaySelection(event_ids=("evt_live",))):
        report = replay(unit_of_work, selection)
        assert "other_mode" in report.left_out
    assert rows(session, "SELECT id, status, reason FROM billing_webhook_events ORDER BY id") == before
    assert replay(unit_of_work, ReplaySelection(status=EventStatus.QUARANTINED)) == ReplayReport(
        events=1,
        lanes=1,
        left_out={"other_mode": 1, "unstorable_text": 1, "unreadable": 1},
        left_out_ids=(
            "evt_live",
            "evt_nul",
            rows(session, "SELECT event_id FROM billing_webhook_events WHERE id = 3")[0][0],
        ),
    )
    assert rows(session, "SELECT count(*) FROM billing_customers") == [(0,)]
