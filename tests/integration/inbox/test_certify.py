from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.certificates import list_certificates
from billing_worker.inbox.services.certify_accounts import certify_accounts
from billing_worker.inbox.services.certify_events import certify_events
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.stripe_gateway.client import Page, Retrieved
from billing_worker.stripe_gateway.errors import RateLimited, StripeKeyRejected
from tests.support.deliveries import RecordingReactions, customer, drain, event, rows, store


class Listing:
    """Stripe's list of events, newest first, two to a page."""

    def __init__(
        self,
        clock: FixedClock,
        events: list[dict[str, Any]],
        enabled: tuple[str, ...] = ("*",),
        *,
        fails_at_page: int = 0,
        connected: dict[str, list[dict[str, Any]]] | None = None,
    ) -> None:
        self._clock = clock
        self._accounts = {**(connected or {}), "": events}
        self._enabled = enabled
        self._fails_at_page = fails_at_page
        self.pages = 0

    def read(self, path: str) -> Retrieved:
        assert path == "account"
        return Retrieved(data={"id": "acct_1"}, observed_at=self._clock.now())

    def list_page(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        starting_after: str | None = None,
        account_id: str = "",
    ) -> Page:
        if path == "webhook_endpoints":
            endpoint = {"status": "enabled", "enabled_events": list(self._enabled)}
            return Page(data=[endpoint], has_more=False, observed_at=self._clock.now())
        self.pages += 1
        if self.pages == self._fails_at_page:
            raise RateLimited("events.list: too many requests", retry_after_seconds=1.0)
        if account_id not in self._accounts:
            raise StripeKeyRejected(f"no access to {account_id}")
        created = (params or {})["created"]
        within = [one for one in self._accounts[account_id] if created["gte"] <= one["created"] < created["lt"]]
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


def test_a_list_that_breaks_off_is_no_certificate_and_the_next_one_covers_it(
    unit_of_work: UnitOfWork, session: Session, clock: FixedClock, happened: list[dict[str, Any]]
) -> None:
    first, _ = certify(unit_of_work, Listing(clock, happened[:1]))
    clock.advance(timedelta(hours=2))
    with pytest.raises(RateLimited):
        certify(unit_of_work, Listing(clock, happened, fails_at_page=2), since=clock.now() - timedelta(days=2))
    assert [one.window_end for one in list_certificates(session, limit=9)] == [first.window_end]
    session.rollback()
    # What the broken run had fetched is kept; the window is looked at again, from an hour before the last success.
    again, _ = certify(unit_of_work, Listing(clock, happened))
    assert again.window_start == first.window_end - timedelta(hours=1)
    full, _ = certify(unit_of_work, Listing(clock, happened), since=clock.now() - timedelta(days=2))
    assert (full.counts.total(), full.missing_by_type["customer.created"]) == (5, len(full.missing))
    assert rows(session, "SELECT count(*) FROM billing_webhook_events") == [(5,)]


def test_no_second_falls_between_two_windows(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    """An event of the cursor's own second that appears later is in the next window (the defect of `created > last`)."""
    first, _ = certify(unit_of_work, Listing(clock, []))
    edge = int(first.window_end.timestamp())
    at_the_seam = [
        event("customer.created", customer(f"cus_{offset}"), created=edge + offset, event_id=f"evt_{offset}")
        for offset in (-3600, -1, 0, 1)
    ]
    clock.advance(timedelta(hours=1))
    second, _ = certify(unit_of_work, Listing(clock, at_the_seam))
    assert sorted(second.missing) == ["evt_-1", "evt_-3600", "evt_0", "evt_1"]
    assert second.window_end > first.window_end >= second.window_start + timedelta(hours=1)
    third, _ = certify(unit_of_work, Listing(clock, at_the_seam), since=second.window_start)
    assert (third.missing, third.counts["customer.created"]) == ([], 4)


def test_a_certificate_counts_what_became_of_each_event_as_the_table_does(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    at = int((clock.now() - timedelta(hours=2)).timestamp())
    applied = event("customer.created", customer("cus_1"), created=at, event_id="evt_applied")
    ignored = event("widget.made", {"id": "wid_1", "object": "widget"}, created=at, event_id="evt_ignored")
    shapeless = event("invoice.paid", {"id": "in_1", "object": "invoice"}, created=at, event_id="evt_shapeless")
    missing = event("customer.updated", customer("cus_1"), created=at + 1, event_id="evt_missing")
    store(engine, [applied, applied, ignored, shapeless], clock.now())
    drain(unit_of_work, RecordingReactions())
    everything = [applied, ignored, shapeless, missing]
    certificate, _ = certify(unit_of_work, Listing(clock, everything))
    assert dict(certificate.statuses) == {"applied": 1, "ignored": 1, "quarantined": 1}
    assert (certificate.counts.total(), dict(certificate.missing_by_type)) == (4, {"customer.updated": 1})
    assert certificate.counts.total() == certificate.statuses.total() + len(certificate.missing)
    drain(unit_of_work, RecordingReactions())
    # An outside reconciliation of Stripe's list against the table comes to the same figures.
    by_type = dict(rows(session, "SELECT type, count(*) FROM billing_webhook_events GROUP BY 1"))
    assert by_type == dict(certificate.counts)
    [stored] = list_certificates(session, limit=9)
    assert (stored.events, stored.missing, stored.healed) == (4, 1, 1)
    assert stored.statuses == dict(certificate.statuses)


def test_connected_accounts_have_certificates_of_their_own(
    engine: Engine, unit_of_work: UnitOfWork, session: Session, clock: FixedClock
) -> None:
    at = int((clock.now() - timedelta(hours=2)).timestamp())
    known, lost = (event("customer.created", customer(f"cus_{n}"), created=at, event_id=f"evt_{n}") for n in range(2))
    store(engine, [{**known, "account": "acct_1"}, {**known, "id": "evt_left", "account": "acct_2"}], clock.now())
    listing = Listing(clock, [], connected={"acct_1": [known, lost]})
    report = certify_accounts(unit_of_work, listing, livemode=False, wake=lambda _lane: None)
    assert [(one.account_id, one.counts.total(), one.missing) for one in report.certificates] == [
        ("", 0, []),
        ("acct_1", 2, ["evt_1"]),
    ]
    assert report.refused == {"acct_2": "no access to acct_2"}
    assert rows(session, "SELECT event_id, object_key FROM billing_webhook_events WHERE source = 'events_api'") == [
        ("evt_1", "acct_1/customer/cus_1")
    ]
    assert [one.account_id for one in list_certificates(session, limit=9)] == ["acct_1", ""]
