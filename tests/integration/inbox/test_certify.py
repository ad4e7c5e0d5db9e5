from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.certificates import list_certificates
from billing_worker.inbox.services.certify_events import certify_events
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.stripe_gateway.client import Page, Retrieved
from tests.support.deliveries import RecordingReactions, customer, drain, event, rows, store


class Listing:
    """Stripe's list of events, newest first, two to a page."""

    def __init__(self, clock: FixedClock, events: list[dict[str, Any]], enabled: tuple[str, ...] = ("*",)) -> None:
        self._clock = clock
        self._events = events
        self._enabled = enabled
        self.pages = 0

    def read(self, path: str) -> Retrieved:
        assert path == "account"
        return Retrieved(data={"id": "acct_1"}, observed_at=self._clock.now())

    def list_page(
        self, path: str, *, params: Mapping[str, Any] | None = None, starting_after: str | None = None
    ) -> Page:
        if path == "webhook_endpoints":
            endpoint = {"status": "enabled", "enabled_events": list(self._enabled)}
            return Page(data=[endpoint], has_more=False, observed_at=self._clock.now())
        self.pages += 1
        created = (params or {})["created"]
        within = [one for one in self._events if created["gte"] <= one["created"] < created["lt"]]
        within.sort(key=lambda one: (-one["created"], one["id"]))
        start = next((i + 1 for i, one in enumerate(within) if one["id"] == starting_after), 0)
        return Page(data=within[start : start + 2], has_more=len(within) > start + 2, observed_at=self._clock.now())


@pytest.fixture
def happened(clock: FixedClock) -> list[dict[str, Any]]:
    """Five events of the last day, the last one two minutes old."""
    ages = (timedelta(hours=20), timedelta(hours=3), timedelta(hours=2), timedelta(hours=2), timedelta(minutes=2))
    return [
        event(
            "customer.created",
            customer(f"cus_{number}"),
            created=int((clock.now() - age).timestamp()),
            event_id=f"evt_{number}",
        )
        for number, age in enumerate(ages)
    ]


def certify(unit_of_work: UnitOfWork, listing: Listing, **window: Any) -> Any:
    woken: list[int] = []
    return certify_events(unit_of_work, listing, livemode=False, wake=woken.append, **window), woken


def test_what_is_missing_is_fetched_applied_and_written_down(
    engine: Engine,
    unit_of_work: UnitOfWork,
    session: Session,
    clock: FixedClock,
    happened: list[dict[str, Any]],
) -> None:
    store(engine, [happened[0], happened[2]], clock.now())
    certificate, woken = certify(unit_of_work, Listing(clock, happened))
    assert sorted(certificate.missing) == ["evt_1", "evt_3"]
    assert (certificate.counts.total(), certificate.healed, len(woken)) == (4, 2, 2)
    drain(unit_of_work, RecordingReactions())
    sources = rows(session, "SELECT event_id, source, status FROM billing_webhook_events ORDER BY 1")
    assert sources == [
        ("evt_0", "webhook", "applied"),
        ("evt_1", "events_api", "applied"),
        ("evt_2", "webhook", "applied"),
        ("evt_3", "events_api", "applied"),
    ]
    assert rows(session, "SELECT count(*) FROM billing_effects") == [(4,)]
    again, _ = certify(unit_of_work, Listing(clock, happened), since=clock.now() - timedelta(days=1))
    assert (again.missing, again.counts.total()) == ([], 4)
    assert [(one.events, one.missing, one.healed) for one in list_certificates(session, limit=9)] == [
        (4, 0, 0),
        (4, 2, 2),
    ]


def test_the_next_window_begins_an_hour_before_the_last_one_ended(
    unit_of_work: UnitOfWork, clock: FixedClock, happened: list[dict[str, Any]]
) -> None:
    first, _ = certify(unit_of_work, Listing(clock, happened))
    clock.advance(timedelta(hours=6))
    second, _ = certify(unit_of_work, Listing(clock, happened))
    assert second.window_start == first.window_end - timedelta(hours=1)
    assert second.missing == ["evt_4"]


def test_types_nobody_subscribed_to_are_told_apart_and_not_fetched(
    unit_of_work: UnitOfWork, session: Session, clock: FixedClock, happened: list[dict[str, Any]]
) -> None:
    certificate, _ = certify(unit_of_work, Listing(clock, happened, enabled=("invoice.paid",)))
    assert (certificate.counts.total(), certificate.other.total(), certificate.missing) == (0, 4, [])
    assert rows(session, "SELECT count(*) FROM billing_webhook_events") == [(0,)]


def test_an_erased_customer_does_not_come_back(
    unit_of_work: UnitOfWork, session: Session, clock: FixedClock, happened: list[dict[str, Any]]
) -> None:
    session.execute(
        text("INSERT INTO billing_erasures (customer_id, erased_at, reason) VALUES ('cus_1', :now, 'asked for it')"),
        {"now": clock.now()},
    )
    session.commit()
    certificate, _ = certify(unit_of_work, Listing(clock, happened))
    assert (len(certificate.missing), certificate.healed, certificate.erased) == (4, 3, 1)
    assert rows(session, "SELECT count(*) FROM billing_webhook_events WHERE object_id = 'cus_1'") == [(0,)]


def test_an_empty_window_is_refused_with_a_right_one(
    unit_of_work: UnitOfWork, session: Session, clock: FixedClock, happened: list[dict[str, Any]]
) -> None:
    with pytest.raises(InvalidValueError, match="--since 24h"):
        certify(unit_of_work, Listing(clock, happened), since=clock.now() - timedelta(minutes=1))
    assert list_certificates(session, limit=9) == []
