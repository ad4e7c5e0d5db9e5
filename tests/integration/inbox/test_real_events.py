"""Stripe's own test events, of old API versions and many types, each ends for a stated reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.fetch_parked import fetch_parked
from billing_worker.routing.table import DISPATCHER
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeNotFound
from tests.support.deliveries import drain, rows, store

EVENTS = Path(__file__).parents[4] / "shared" / "stripe" / "events"


class Forgetful:
    """A Stripe that knows none of these objects, as the sandbox does."""

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        raise StripeNotFound(f"No such {object_type}: '{object_id}' {account_id}")


@pytest.mark.skipif(not EVENTS.is_dir(), reason="Stripe's test events are not beside this checkout")
def test_every_real_event_ends_applied_or_quarantined_for_a_reason(
    engine: Engine, unit_of_work: UnitOfWork, session: Session
) -> None:
    files = sorted(EVENTS.glob("*.json"))
    events = [json.loads(path.read_text()) | {"id": f"evt_{path.stem}"} for path in files]
    store(engine, events, unit_of_work.now())
    drain(unit_of_work, DISPATCHER)
    fetch_parked(unit_of_work, Forgetful(), wake=lambda _lane: True)
    drain(unit_of_work, DISPATCHER)
    ends = rows(session, "SELECT event_id, status, reason FROM billing_webhook_events ORDER BY event_id")
    assert len(ends) == len(files)
    odd = [end for end in ends if end[1] != "applied"]
    assert odd == [("evt_checkout_session_completed", "quarantined", "other_mode")]
    assert rows(session, "SELECT count(*) FROM billing_parked_objects") == [(0,)]
    assert rows(
        session, "SELECT status, deleted_at IS NULL FROM billing_subscriptions WHERE id = 'sub_JdIzvfy6o5GZRd'"
    ) == [("canceled", True)]
