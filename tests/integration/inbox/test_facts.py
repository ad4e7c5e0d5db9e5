"""Facts without a row of the mirror: upcoming invoices, and thin events whose content is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.fetch_parked import MAX_ATTEMPTS, fetch_parked
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.events import EffectDraft, EventView
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeNotFound, StripeUnavailable
from tests.support.deliveries import EPOCH, RecordingReactions, drain, event, rows, store
from tests.support.stripe_sandbox import KEY, Sandbox, follow, gateway_to, run_sandbox

ERRORS = "v1.billing.meter.error_report_triggered"
NO_METER = "v1.billing.meter.no_meter_found"
EVENTS = "SELECT event_id, status, reason, detail FROM billing_webhook_events WHERE source = 'webhook' ORDER BY id"
METERS = "SELECT id, display_name FROM billing_meters"


class Seeing(RecordingReactions):
    """Reactions that keep what they were shown."""

    def __init__(self, *, fail_on: frozenset[str] = frozenset()) -> None:
        super().__init__(fail_on=fail_on)
        self.seen: list[tuple[str, Mapping[str, Any]]] = []

    def on_fact(self, event: EventView) -> list[EffectDraft]:
        self.seen.append((event.type, event.data))
        return super().on_fact(event)


class Stripe:
    """Stands in for Stripe's objects."""

    def __init__(self, objects: Mapping[str, Mapping[str, Any]], at: datetime) -> None:
        self.objects = objects
        self.at = at
        self.asked: list[str] = []

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        self.asked.append(f"{account_id}/{object_type}/{object_id}")
        if object_id not in self.objects:
            raise StripeNotFound("no such object")
        return Retrieved(data=dict(self.objects[object_id]), observed_at=self.at)


def thin(event_id: str = "evt_thin", *, kind: str = ERRORS, meter: str | None = "mtr_1") -> dict[str, Any]:
    related = {"id": meter, "type": "billing.meter", "url": f"/v1/billing/meters/{meter}"} if meter else None
    return {
        "id": event_id,
        "object": "v2.core.event",
        "type": kind,
        "created": "2026-02-01T00:00:00.000Z",
        "livemode": False,
        "context": None,
        "related_object": related,
    }


def content(event_id: str = "evt_thin", **changes: Any) -> dict[str, Any]:
    return {**thin(event_id, **changes), "data": {"developer_message_summary": "There is 1 invalid event"}}


METER = {"id": "mtr_1", "object": "billing.meter", "display_name": "Calls", "event_name": "calls", "status": "active"}


def test_an_upcoming_invoice_is_a_fact_and_no_invoice(
    engine: Engine, session: Session, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    upcoming = {
        "object": "invoice",
        "customer": "cus_1",
        "currency": "usd",
        "parent": {"subscription_details": {"subscription": "sub_1"}},
        "total": 1000,
    }
    store(
        engine,
        [
            event("invoice.upcoming", upcoming, event_id="evt_1"),
            event("invoice.upcoming", {**upcoming, "customer": None}, event_id="evt_2", created=EPOCH + 1),
        ],
        clock.now(),
    )
    reactions = Seeing()
    drain(unit_of_work, reactions)
    assert rows(session, EVENTS) == [
        ("evt_1", "applied", "", ""),
        ("evt_2", "quarantined", "missing_field", "invoice.customer is required and absent"),
    ]
    assert [(kind, data["total"]) for kind, data in reactions.seen] == [("invoice.upcoming", 1000)]
    assert rows(session, "SELECT object_key FROM billing_effects") == [("/upcoming_invoice/sub_1",)]
    assert rows(session, "SELECT count(*) FROM billing_invoices") == [(0,)]


def test_a_thin_event_is_applied_when_it_and_its_object_are_fetched(
    engine: Engine, session: Session, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    reactions = Seeing()
    store(engine, [thin(), thin("evt_bare", kind=NO_METER, meter=None)], clock.now())
    drain(unit_of_work, reactions)
    assert (reactions.seen, rows(session, METERS)) == ([], [])
    assert rows(session, EVENTS) == [("evt_thin", "pending", "", ""), ("evt_bare", "pending", "", "")]
    clock.advance(timedelta(seconds=10))
    objects = {"evt_thin": content(), "evt_bare": content("evt_bare", kind=NO_METER, meter=None), "mtr_1": METER}
    gateway = Stripe(objects, clock.now())
    assert fetch_parked(unit_of_work, gateway, wake=lambda _lane: True) == 2
    assert sorted(gateway.asked) == ["/billing.meter/mtr_1", "/v2.core.event/evt_bare", "/v2.core.event/evt_thin"]
    drain(unit_of_work, reactions)
    told = "There is 1 invalid event"
    assert rows(session, EVENTS) == [("evt_thin", "applied", "", told), ("evt_bare", "applied", "", told)]
    assert sorted(kind for kind, _ in reactions.seen) == [ERRORS, NO_METER]
    assert all("data" in data for _, data in reactions.seen)
    assert rows(session, METERS) == [("mtr_1", "Calls")]
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(2,)]
    assert rows(session, "SELECT count(*) FROM billing_parked_objects") == [(0,)]
    store(engine, [thin()], clock.now())
    drain(unit_of_work, reactions)
    assert len(reactions.seen) == 2  # a redelivery tells nothing again


def test_other_events_of_the_object_do_not_wait_for_a_thin_one(
    engine: Engine, session: Session, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    store(engine, [thin(), event("billing.meter.updated", METER, event_id="evt_2")], clock.now())
    drain(unit_of_work, Seeing())
    assert [row[:2] for row in rows(session, EVENTS)] == [("evt_thin", "pending"), ("evt_2", "applied")]


def test_what_stripe_no_longer_has_is_a_fact_as_it_was_named(
    engine: Engine, session: Session, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    reactions = Seeing()
    store(engine, [thin("evt_gone"), thin("evt_kept")], clock.now())
    drain(unit_of_work, reactions)
    clock.advance(timedelta(seconds=10))
    fetch_parked(unit_of_work, Stripe({"evt_kept": content("evt_kept")}, clock.now()), wake=lambda _lane: True)
    drain(unit_of_work, reactions)
    assert [row[:3] for row in rows(session, EVENTS)] == [
        ("evt_gone", "applied", "not_at_stripe"),
        ("evt_kept", "applied", ""),
    ]
    assert rows(session, METERS) == []


@pytest.mark.parametrize("size", [1, 500])
def test_a_stripe_that_is_away_is_asked_again_in_any_batch_size(
    engine: Engine, session: Session, unit_of_work: UnitOfWork, clock: FixedClock, size: int
) -> None:
    class Away(Stripe):
        def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
            super().retrieve(object_type, object_id, account_id=account_id)
            raise StripeUnavailable("no answer")

    reactions = Seeing()
    store(engine, [thin()], clock.now())
    drain(unit_of_work, reactions, batch_size=size)
    objects = {"evt_thin": content(), "mtr_1": METER}
    for _ in range(MAX_ATTEMPTS - 1):
        clock.advance(timedelta(hours=1))
        assert fetch_parked(unit_of_work, Away(objects, clock.now()), wake=lambda _lane: True) == 1
    clock.advance(timedelta(hours=1))
    fetch_parked(unit_of_work, Stripe(objects, clock.now()), wake=lambda _lane: True)
    drain(unit_of_work, reactions, batch_size=size)
    assert [row[:2] for row in rows(session, EVENTS)] == [("evt_thin", "applied")]
    assert rows(session, METERS) == [("mtr_1", "Calls")]


def test_a_fact_that_breaks_its_reaction_parks_itself_alone(
    engine: Engine, session: Session, unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    upcoming = {"object": "invoice", "customer": "cus_1"}
    other = {"object": "invoice", "customer": "cus_2"}
    store(
        engine,
        [
            event("invoice.upcoming", upcoming, event_id="evt_1"),
            event("invoice.upcoming", other, event_id="evt_2"),
        ],
        clock.now(),
    )
    drain(unit_of_work, Seeing(fail_on=frozenset({"evt_1"})))
    assert [row[:2] for row in rows(session, EVENTS)] == [("evt_1", "pending"), ("evt_2", "applied")]
    assert rows(session, "SELECT object_key FROM billing_parked_objects") == [("/upcoming_invoice/cus_1",)]


def test_a_refused_usage_record_reaches_us_through_the_sandbox(
    engine: Engine, session: Session, unit_of_work: UnitOfWork, clock: FixedClock, settings: Settings
) -> None:
    with run_sandbox() as sandbox:
        notice = provoke_error_report(sandbox)
        follow(clock, sandbox)
        reactions = Seeing()
        store(engine, [notice], clock.now())
        drain(unit_of_work, reactions)
        clock.advance(timedelta(seconds=10))
        fetch_parked(unit_of_work, gateway_to(sandbox, settings), wake=lambda _lane: True)
        drain(unit_of_work, reactions)
    [(status, detail)] = [(row[1], row[3]) for row in rows(session, EVENTS)]
    assert (status, "invalid event" in detail) == ("applied", True)
    [(kind, data)] = reactions.seen
    assert (kind, data["data"]["reason"]["error_count"]) == (ERRORS, 1)
    assert rows(session, "SELECT display_name FROM billing_meters") == [("Calls",)]


def provoke_error_report(sandbox: Sandbox) -> dict[str, Any]:
    """Send usage that the meter cannot take, and return the notification of it."""
    sandbox.api(
        "POST", "billing/meters", display_name="Calls", event_name="calls", default_aggregation={"formula": "sum"}
    )
    client: Any = stripe.StripeClient(KEY, base_addresses={"api": sandbox.url, "meter_events": sandbox.url})
    opened = client.v2.billing.meter_event_session.create()
    streaming: Any = stripe.StripeClient(
        opened.authentication_token, base_addresses={"api": sandbox.url, "meter_events": sandbox.url}
    )
    payload = {"stripe_customer_id": "cus_gone", "value": "1"}
    at = datetime.now(UTC).isoformat()
    streaming.v2.billing.meter_event_stream.create(
        {"events": [{"event_name": "calls", "identifier": "a", "payload": payload, "timestamp": at}]}
    )
    [found] = client.v2.core.events.list({"types": [ERRORS]}).data
    names = ("id", "object", "context", "livemode", "type", "related_object")
    told: dict[str, Any] = {name: found._data.get(name) for name in names}
    told["related_object"] = dict(found.related_object._data)
    return {**told, "created": thin()["created"]}
