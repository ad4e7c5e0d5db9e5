from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.fetch_parked import MAX_ATTEMPTS, fetch_parked
from billing_worker.inbox.services.ingest_snapshot import ingest_snapshot
from billing_worker.inbox.states import Source
from billing_worker.kernel.clock import FixedClock, from_unix
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeNotFound, StripeUnavailable
from tests.support.deliveries import EPOCH, RecordingReactions, customer, drain, event, rows, store

CUSTOMERS = "SELECT id, email, order_unproven FROM billing_customers"


class Answering:
    """Stands in for Stripe at the one call: answers, or fails, as told."""

    def __init__(self, answer: Callable[[], Retrieved]) -> None:
        self._answer = answer
        self.asked: list[str] = []

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        self.asked.append(f"{account_id}/{object_type}/{object_id}")
        return self._answer()


def failing(error: Exception) -> Answering:
    def answer() -> Retrieved:
        raise error

    return Answering(answer)


def truth(email: str, observed_at: datetime) -> Answering:
    return Answering(lambda: Retrieved(data=customer(email=email), observed_at=observed_at))


@pytest.fixture
def unclear(engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    events = [
        event("customer.updated", customer(email=f"{n}@x.io"), created=EPOCH, event_id=f"evt_{n}") for n in range(2)
    ]
    store(engine, events, clock.now())
    drain(unit_of_work, RecordingReactions())


def fetch(unit_of_work: UnitOfWork, gateway: Answering) -> int:
    return fetch_parked(unit_of_work, gateway, wake=lambda _lane: True)


@pytest.mark.usefixtures("unclear")
def test_the_fetched_snapshot_settles_the_second_and_facts_count_once_each(
    unit_of_work: UnitOfWork, session: Session
) -> None:
    gateway = truth("truth@x.io", from_unix(EPOCH + 60))
    assert fetch(unit_of_work, gateway) == 1
    drain(unit_of_work, RecordingReactions())
    assert gateway.asked == ["/customer/cus_1"]
    assert rows(session, CUSTOMERS) == [("cus_1", "truth@x.io", False)]
    ends = rows(session, "SELECT type, status, superseded FROM billing_webhook_events ORDER BY id")
    assert ends == [
        ("customer.updated", "applied", True),
        ("customer.updated", "applied", True),
        ("nself.snapshot", "applied", False),
    ]
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(2,)]
    assert rows(session, "SELECT count(*) FROM billing_parked_objects") == [(0,)]


@pytest.mark.usefixtures("unclear")
def test_an_object_that_stripe_does_not_know_goes_by_arrival_marked_unproven(
    unit_of_work: UnitOfWork, session: Session
) -> None:
    fetch(unit_of_work, failing(StripeNotFound("No such customer: 'cus_1'")))
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "1@x.io", True)]
    assert rows(session, "SELECT status, order_unproven FROM billing_webhook_events ORDER BY id") == [
        ("applied", True),
        ("applied", True),
    ]
    assert rows(session, "SELECT count(*) FROM billing_parked_objects") == [(0,)]


@pytest.mark.usefixtures("unclear")
def test_an_answer_of_the_same_second_is_too_early_and_asked_again(
    unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    fetch(unit_of_work, truth("early@x.io", from_unix(EPOCH)))
    assert drain(unit_of_work, RecordingReactions()) == 0
    assert rows(session, "SELECT attempts, detail FROM billing_parked_objects") == [(2, "too early")]
    clock.advance(timedelta(seconds=10))
    fetch(unit_of_work, truth("later@x.io", from_unix(EPOCH + 1)))
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "later@x.io", False)]


@pytest.mark.usefixtures("unclear")
def test_stripe_being_away_delays_and_in_the_end_arrival_order_stands_in(
    unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    away = failing(StripeUnavailable("Stripe does not answer"))
    for _ in range(MAX_ATTEMPTS):
        assert fetch(unit_of_work, away) == 1
        assert fetch(unit_of_work, away) == 0
        clock.advance(timedelta(minutes=10))
    assert len(away.asked) == MAX_ATTEMPTS
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "1@x.io", True)]


def test_a_second_ahead_of_our_clock_is_asked_for_within_a_minute(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    ahead = int(clock.now().timestamp()) + 86400
    events = [event("customer.updated", customer(email=f"{n}@x.io"), created=ahead) for n in range(2)]
    store(engine, events, clock.now())
    drain(unit_of_work, RecordingReactions())
    clock.advance(timedelta(minutes=1))
    assert fetch(unit_of_work, truth("truth@x.io", from_unix(ahead + 1))) == 1
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "truth@x.io", False)]


@pytest.mark.usefixtures("unclear")
def test_a_second_that_stripe_s_clock_never_passes_parks_its_object_no_longer_than_any_other(
    unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    early = truth("early@x.io", from_unix(EPOCH))
    for _ in range(MAX_ATTEMPTS):
        assert fetch(unit_of_work, early) == 1
        clock.advance(timedelta(minutes=10))
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "1@x.io", True)]


def test_a_snapshot_hides_no_newer_event_and_undoes_none(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    now = unit_of_work.now()

    def take(email: str, version: int) -> bool:
        with unit_of_work.transaction() as inner:
            stored = ingest_snapshot(
                inner,
                account_id="",
                obj=customer(email=email),
                source=Source.RECONCILE,
                observed_at=from_unix(version),
                now=now,
            )
        return stored.is_new

    store(engine, [event("customer.created", customer(email="event@x.io"), created=EPOCH + 10)], now)
    assert take("older@x.io", EPOCH + 5)
    assert take("same-second@x.io", EPOCH + 10)
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "event@x.io", False)]
    assert take("newer@x.io", EPOCH + 20)
    assert not take("newer@x.io", EPOCH + 20)
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "newer@x.io", False)]
    changed: dict[str, Any] = customer(email="later@x.io")
    store(engine, [event("customer.updated", changed, created=EPOCH + 20)], now)
    drain(unit_of_work, RecordingReactions())
    assert rows(session, CUSTOMERS) == [("cus_1", "later@x.io", False)]
