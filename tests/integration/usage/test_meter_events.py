"""Meter events against the sandbox: each unit of use is told once, whatever fails in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.queries import meters
from billing_worker.domains.usage.rules import Metric, MetricCatalog, UsageRecord
from billing_worker.domains.usage.services.aggregate_usage import aggregate_usage
from billing_worker.domains.usage.services.deduplicate_usage import deduplicate_usage
from billing_worker.domains.usage.services.plan_meter_events import plan_meter_events
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.domains.usage.services.send_meter_events import send_meter_events
from billing_worker.domains.usage.states import Formula
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.periods import Period
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway
from tests.support.stripe_sandbox import Sandbox, follow, gateway_to, run_sandbox

UTC = ZoneInfo("UTC")
METERED = MetricCatalog([Metric("api_calls", "", Formula.SUM, "call", stripe_meter="calls")])
LINK = "INSERT INTO billing_customer_users (customer_id, user_id, linked_at, linked_by) VALUES (:c, 'u1', :n, 't')"
EVENTS = "/v1/billing/meter_events"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        running.api(
            "POST", "billing/meters", display_name="Calls", event_name="calls", default_aggregation={"formula": "sum"}
        )
        yield running


class Shop:
    """One user who is a customer, and our side of the meter."""

    def __init__(
        self, sandbox: Sandbox, settings: Settings, unit_of_work: UnitOfWork, clock: FixedClock, session: Session
    ) -> None:
        self.sandbox, self.unit_of_work, self.clock, self.session = sandbox, unit_of_work, clock, session
        follow(clock, sandbox)
        # one attempt a call: what fails is repeated by the journal alone
        self.gateway: StripeGateway = gateway_to(sandbox, settings, stripe_max_retries=0)
        self.customer = sandbox.api("POST", "customers", email="a@example.com")["id"]
        self.meter = sandbox.listed("billing/meters")[0]["id"]
        now = clock.now()
        self.run(
            LINK,
            c=self.customer,
            n=now,
        )
        self.run(
            "INSERT INTO billing_meters (id, data, version, version_row_id, version_event_id, synced_at, event_name, "
            "status) VALUES (:m, '{}', :n, 0, '', :n, 'calls', 'active')",
            m=self.meter,
            n=now,
        )
        self.hour = now.replace(minute=0, second=0, microsecond=0)

    def run(self, statement: str, **parameters: object) -> None:
        self.session.execute(text(statement), parameters)
        self.session.commit()

    def use(self, value: int, *, at_minute: int = 5, key: str | None = None) -> None:
        at = self.hour + timedelta(minutes=at_minute)
        with self.unit_of_work.transaction() as session:
            record = UsageRecord("u1", "api_calls", value, created_at=at, idempotency_key=key)
            record_usage(session, [record], metrics=METERED, source="test", now=self.clock.now())

    def advance(self, **step: float) -> None:
        self.sandbox.advance(**step)
        follow(self.clock, self.sandbox)

    def plan(self) -> None:
        aggregate_usage(self.unit_of_work, metrics=METERED, zone=UTC)
        with self.unit_of_work.transaction() as session:
            plan_meter_events(session, metrics=METERED, zone=UTC, now=self.clock.now())

    def tell(self) -> dict[str, int]:
        self.plan()
        return send_meter_events(self.unit_of_work, self.gateway).by_status

    def at_stripe(self) -> int:
        start = int((self.hour - timedelta(days=2)).timestamp())
        found = self.sandbox.api(
            "GET",
            f"billing/meters/{self.meter}/event_summaries",
            customer=self.customer,
            start_time=start,
            end_time=start + 40 * 86_400,
        )
        return int(sum(one["aggregated_value"] for one in found["data"]))

    def journal(self) -> list[tuple[int, str]]:
        rows = self.session.execute(text("SELECT value::bigint, status FROM billing_meter_events ORDER BY id")).all()
        self.session.commit()
        return [(value, status) for value, status in rows]


@pytest.fixture
def shop(
    sandbox: Sandbox, settings: Settings, unit_of_work: UnitOfWork, clock: FixedClock, session: Session
) -> Iterator[Shop]:
    yield Shop(sandbox, settings, unit_of_work, clock, session)
    sandbox.control("faults/clear", {})


def test_closed_hours_are_told_once_and_late_use_as_a_difference(shop: Shop) -> None:
    shop.use(5)
    shop.use(2)
    assert shop.tell() == {}  # the hour is still open
    shop.advance(hours=1.2)
    assert shop.tell() == {"sent": 1}
    assert shop.tell() == {}
    shop.use(3)
    assert shop.tell() == {"sent": 1}
    assert shop.journal() == [(7, "sent"), (3, "sent")]
    assert shop.at_stripe() == 10


def test_a_correction_cancels_what_it_takes_back_or_tells_a_negative_difference(shop: Shop) -> None:
    shop.use(4)
    shop.advance(hours=1.2)
    shop.tell()
    shop.use(4)
    shop.tell()
    assert shop.at_stripe() == 8
    span = Period(shop.hour, shop.hour + timedelta(hours=1))
    with shop.unit_of_work.transaction() as session:
        done = deduplicate_usage(
            session, user_id="u1", metric=None, period=span, is_dry_run=False, now=shop.clock.now()
        )
    assert (done.reversed_records, done.units) == (1, 4)
    assert shop.tell() == {"sent": 1}
    assert shop.at_stripe() == 4
    cancels = shop.session.execute(text("SELECT count(*) FROM billing_meter_events WHERE cancels IS NOT NULL"))
    assert cancels.scalar_one() == 1
    shop.session.commit()


@pytest.mark.parametrize("kind", ["error_before", "error_after", "reset_before", "reset_after"])
def test_a_call_that_fails_is_repeated_and_counts_once(shop: Shop, kind: str) -> None:
    shop.use(6)
    shop.advance(hours=1.2)
    shop.sandbox.control("faults", {"kind": kind, "method": "POST", "path": EVENTS})
    assert shop.tell() == {"pending": 1}
    shop.advance(hours=0.1)
    assert shop.tell() == {"sent": 1}
    assert shop.at_stripe() == 6


@pytest.mark.parametrize("was_taken", [True, False])
def test_an_answer_that_was_lost_is_proved_by_stripes_sum_after_a_day(shop: Shop, *, was_taken: bool) -> None:
    shop.use(6)
    shop.advance(hours=1.2)
    shop.plan()
    with shop.unit_of_work.transaction() as session:  # the teller that dies
        entry = meters.claim_entry(session, lease=timedelta(0), now=shop.clock.now())
    assert entry is not None
    if was_taken:
        payload = {"stripe_customer_id": shop.customer, "value": "6"}
        at = int(entry.occurred_at.timestamp())
        shop.sandbox.api(
            "POST",
            "billing/meter_events",
            event_name="calls",
            identifier=entry.identifier,
            timestamp=at,
            payload=payload,
        )
    shop.advance(hours=30)  # Stripe has forgotten the identifier
    assert shop.tell() == {"sent": 1}
    assert shop.at_stripe() == 6


def test_what_cannot_be_proved_is_parked(shop: Shop) -> None:
    shop.use(6)
    shop.advance(hours=1.2)
    shop.plan()
    with shop.unit_of_work.transaction() as session:
        entry = meters.claim_entry(session, lease=timedelta(0), now=shop.clock.now())
    assert entry is not None
    payload = {"stripe_customer_id": shop.customer, "value": "1"}  # somebody else tells the same meter
    at = int(entry.occurred_at.timestamp())
    shop.sandbox.api("POST", "billing/meter_events", event_name="calls", timestamp=at, payload=payload)
    shop.advance(hours=30)
    assert shop.tell() == {"parked": 1}
    assert shop.tell() == {}
    assert shop.at_stripe() == 1


def test_an_hour_in_which_a_period_ends_is_two_segments(shop: Shop) -> None:
    boundary = shop.hour + timedelta(minutes=37, seconds=22)
    shop.run(
        "INSERT INTO billing_subscriptions (id, data, version, version_row_id, version_event_id, synced_at, "
        "customer_id, status, current_period_end) VALUES ('sub_1', '{}', :b, 0, '', :b, :c, 'active', :b)",
        b=boundary,
        c=shop.customer,
    )
    shop.advance(hours=1.2)
    shop.use(5, at_minute=37)
    shop.use(7, at_minute=38)
    assert shop.tell() == {"sent": 2}
    rows = shop.session.execute(
        text("SELECT value::bigint, occurred_at FROM billing_meter_events ORDER BY occurred_at")
    ).all()
    shop.session.commit()
    last = shop.hour + timedelta(minutes=59, seconds=59)
    assert [tuple(row) for row in rows] == [(5, boundary - timedelta(seconds=1)), (7, last)]


def test_users_without_customer_wait_for_their_link(shop: Shop) -> None:
    shop.run("DELETE FROM billing_customer_users")
    shop.use(5)
    shop.advance(hours=1.2)
    assert shop.tell() == {}
    shop.run(
        LINK,
        c=shop.customer,
        n=shop.clock.now(),
    )
    assert shop.tell() == {"sent": 1}
    assert shop.at_stripe() == 5
