"""Defects of others that no other test of ours names: lost wake-ups, and locks held while a server is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.certify_events import certify_events
from billing_worker.inbox.services.fetch_parked import fetch_parked
from billing_worker.inbox.services.rebuild_object import rebuild_object
from billing_worker.inbox.services.refetch_events import refetch_events
from billing_worker.inbox.services.rescue_lanes import rescue_lanes
from billing_worker.kernel.clock import FixedClock
from billing_worker.stripe_gateway.client import Page, Retrieved
from tests.support.deliveries import EPOCH, RecordingReactions, customer, drain, event, rows, store


class Watchful:
    """Stripe, noting at every call how many connections to the database are in use."""

    def __init__(self, engine: Engine, clock: FixedClock, events: list[dict[str, Any]]) -> None:
        self._engine, self._clock, self._events = engine, clock, events
        self.seen: dict[str, int] = {}

    def _note(self, call: str) -> None:
        # A connection that is checked out has a transaction open.
        self.seen[call] = max(self.seen.get(call, 0), self._engine.pool.checkedout())  # type: ignore[attr-defined]  # of the queue pool

    def read(self, path: str) -> Retrieved:
        self._note(f"read {path}")
        return Retrieved({"id": "acct_1"}, self._clock.now())

    def list_page(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        starting_after: str | None = None,
        account_id: str = "",
    ) -> Page:
        self._note(f"list {path}")
        assert (starting_after, account_id) == (None, "")
        return Page(self._events if params is not None else [], has_more=False, observed_at=self._clock.now())

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        self._note(f"retrieve {object_type}")
        assert account_id == ""
        data = self._events[0] if object_type == "event" else customer(object_id)
        return Retrieved(data, self._clock.now())


def test_an_acknowledged_event_whose_wake_up_was_lost_is_swept_up_within_the_second(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    [stored] = store(engine, [event("customer.created", customer(), event_id="evt_1")], clock.now())

    def rescue() -> list[int]:
        woken: list[int] = []

        def wake(lane: int) -> bool:
            woken.append(lane)
            return True

        assert rescue_lanes(session, clock.now(), wake=wake) == len(woken)
        session.rollback()
        return woken

    assert rescue() == [stored.lane]
    drain(unit_of_work, RecordingReactions())
    assert (rescue(), rows(session, "SELECT status FROM billing_webhook_events")) == ([], [("applied",)])


def test_no_transaction_is_open_while_stripe_is_asked(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    tied = [event("customer.updated", customer(name=name), event_id=f"evt_{name}") for name in "ab"]
    store(engine, tied, clock.now())
    drain(unit_of_work, RecordingReactions())
    session.close()
    clock.advance(timedelta(minutes=1))
    lost = event("customer.created", customer("cus_2"), created=EPOCH, event_id="evt_lost")
    stripe = Watchful(engine, clock, [lost])
    assert fetch_parked(unit_of_work, stripe, wake=lambda _lane: True) == 1
    drain(unit_of_work, RecordingReactions())
    assert certify_events(unit_of_work, stripe, livemode=False, wake=lambda _lane: None).healed == 1
    assert refetch_events(unit_of_work, stripe, [("", "evt_lost")], livemode=False).restored == ["evt_lost"]
    rebuild_object(unit_of_work, stripe, "/customer/cus_1")
    assert stripe.seen == dict.fromkeys(
        ("retrieve customer", "read account", "list webhook_endpoints", "list events", "retrieve event"), 0
    )
