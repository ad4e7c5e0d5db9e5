"""The rows of overage always add up to what their records cost, in whatever order things happen."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.customers.services.link_customer import link_customer
from billing_worker.domains.overage.pricing import PriceBook, PricedMetric
from billing_worker.domains.overage.queries.periods import GRACE
from billing_worker.domains.overage.rules import compute_charge, read_written_price
from billing_worker.domains.overage.services.compute_due_overages import compute_due_overages
from billing_worker.domains.overage.services.recalculate_overages import recalculate_overages
from billing_worker.domains.quotas.rules import QuotaTerms
from billing_worker.domains.quotas.services.refresh_quota_usage import refresh_quota_usage
from billing_worker.domains.quotas.services.reset_due_quotas import reset_due_quotas
from billing_worker.domains.quotas.services.set_quota import set_quota
from billing_worker.domains.quotas.states import Enforcement
from billing_worker.domains.usage.rules import UsageRecord
from billing_worker.domains.usage.services.aggregate_usage import aggregate_usage
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.periods import PeriodKind

METRICS, ZONE, LIMIT = load_metrics(), ZoneInfo("UTC"), 100
TIERS = [{"up_to": 50, "unit_amount": "3.5"}, {"up_to": "inf", "unit_amount": "1.25", "flat_amount": 20}]
PRICE = read_written_price("tiers", {"currency": "usd", "tiers": TIERS, "cap": 900})
BOOK = PriceBook([PricedMetric("api_calls", PRICE)])


@dataclass
class Days:
    """A user with so many units a day."""

    unit_of_work: UnitOfWork
    clock: FixedClock

    def start(self, *, linked: bool = True) -> None:
        with self.unit_of_work.transaction() as session:
            set_quota(
                session,
                QuotaTerms("user123", "api_calls", PeriodKind.DAY, LIMIT, Enforcement.SOFT),
                set_by="ops",
                metrics=METRICS,
                zone=ZONE,
                enforcing=True,
                now=self.clock.now(),
            )
        if linked:
            self.link()

    def link(self) -> None:
        with self.unit_of_work.transaction() as session:
            session.execute(
                text(
                    "INSERT INTO billing_customers (account_id, id, data, version, version_row_id, version_event_id, "
                    "order_unproven, synced_at) VALUES ('', 'cus_1', :data, :now, 1, '', false, :now)"
                ),
                {"now": self.clock.now(), "data": '{"currency": "usd"}'},
            )
            link_customer(session, customer_id="cus_1", user_id="user123", linked_by="test", now=self.clock.now())

    def use(self, units: int, at: datetime | None = None) -> None:
        record = UsageRecord("user123", "api_calls", units, created_at=at)
        with self.unit_of_work.transaction() as session:
            record_usage(session, [record], metrics=METRICS, source="test", now=self.clock.now())

    def aggregate(self) -> None:
        aggregate_usage(self.unit_of_work, metrics=METRICS, zone=ZONE)
        refresh_quota_usage(self.unit_of_work, metrics=METRICS, zone=ZONE, enforcing=True)

    def pass_day(self) -> None:
        self.clock.advance(timedelta(days=1))
        reset_due_quotas(self.unit_of_work, metrics=METRICS, zone=ZONE, enforcing=True, closed_by="test")

    def compute(self) -> dict[str, int]:
        self.clock.advance(GRACE)
        return dict(compute_due_overages(self.unit_of_work, BOOK, metrics=METRICS, zone=ZONE))

    def recalculate(self, reason: str = "") -> list[str]:
        with self.unit_of_work.transaction() as session:
            done = recalculate_overages(
                session,
                "user123",
                BOOK,
                metric_type=None,
                reason=reason,
                metrics=METRICS,
                zone=ZONE,
                now=self.clock.now(),
            )
        return [one.action for one in done]

    def settle(self, status: str) -> None:
        """End every computed row as Stripe would."""
        billed_at = self.clock.now() if status == "billed" else None
        with self.unit_of_work.transaction() as session:
            session.execute(
                text("UPDATE billing_overages SET status = :status, billed_at = :at WHERE status = 'computed'"),
                {"status": status, "at": billed_at},
            )

    def rows(self) -> list[Any]:
        with self.unit_of_work.transaction() as session:
            return list(session.execute(text("SELECT * FROM billing_overages ORDER BY id")))


@pytest.fixture
def days(unit_of_work: UnitOfWork, clock: FixedClock) -> Days:
    return Days(unit_of_work, clock)


@pytest.mark.parametrize("seed", range(3))
def test_rows_add_up_to_the_records_after_any_history(seed: int, days: Days) -> None:
    dice = random.Random(seed)
    used: Counter[datetime] = Counter()
    days.start()
    first = days.clock.now()
    for _ in range(40):
        match dice.choice(["use", "use", "late", "late", "day", "compute", "settle", "aggregate"]):
            case "use" | "late" as when:
                at = days.clock.now()
                if when == "late":
                    at -= timedelta(days=dice.randrange(4))
                at, units = max(at, first), dice.choice([1, 7, 60, 110])
                days.use(units, at)
                used[at.astimezone(UTC).replace(hour=0, minute=0, second=0)] += units
            case "day":
                days.pass_day()
            case "compute":
                days.compute()
            case "settle":
                days.settle("billed")
            case _:
                days.aggregate()
    days.aggregate()
    days.pass_day()
    days.compute()
    assert days.compute() == {}
    charged: Counter[datetime] = Counter()
    billed: Counter[datetime] = Counter()
    for row in days.rows():
        charged[row.period_start] += row.amount_minor
        billed[row.period_start] += row.units
        assert sum(part["amount_minor"] for part in row.explanation) == row.amount_minor
    over = {day: value - LIMIT for day, value in used.items() if value > LIMIT}
    assert over
    assert billed == over
    assert charged == {day: compute_charge(PRICE, value).amount_minor for day, value in over.items()}


def test_a_period_waits_until_its_records_are_aggregated(days: Days) -> None:
    days.start()
    days.use(150)
    days.aggregate()
    days.use(10)
    days.pass_day()
    assert days.compute() == {}
    days.aggregate()
    assert days.compute() == {"computed": 1}
    assert [row.units for row in days.rows()] == [60]


def test_an_absurd_record_holds_nobody_up(days: Days) -> None:
    days.start()
    days.use(2**63 - 1)
    days.aggregate()
    days.pass_day()
    uncapped = PriceBook([PricedMetric("api_calls", read_written_price("x", {"currency": "usd", "unit_amount": 10}))])
    days.clock.advance(GRACE)
    assert compute_due_overages(days.unit_of_work, uncapped, metrics=METRICS, zone=ZONE) == {"unbillable": 1}
    [row] = days.rows()
    assert (row.units, row.amount_minor) == (2**63 - 1 - LIMIT, 0)
    assert "more than can be charged" in row.detail


def test_a_stream_of_late_records_holds_nothing_up(days: Days) -> None:
    days.start()
    days.use(150)
    days.aggregate()
    days.pass_day()
    days.use(10, days.clock.now() - timedelta(days=1))
    assert days.compute() == {"computed": 1}
    assert [row.units for row in days.rows()] == [50]


def test_a_user_without_a_customer_is_billed_once_he_is_linked_and_an_operator_asks(days: Days) -> None:
    days.start(linked=False)
    days.use(110)
    days.aggregate()
    days.pass_day()
    assert days.compute() == {"unbillable": 1}
    assert days.recalculate() == ["unchanged"]
    days.link()
    assert days.compute() == {}
    assert days.recalculate() == ["rewritten"]
    [row] = days.rows()
    assert (row.status, row.customer_id, row.amount_minor) == ("computed", "cus_1", 35)


def test_what_stripe_refused_is_tried_again_under_another_key(days: Days) -> None:
    days.start()
    days.use(110)
    days.aggregate()
    days.pass_day()
    days.compute()
    days.settle("failed")
    assert days.compute() == {}
    assert days.recalculate() == ["rewritten"]
    [row] = days.rows()
    assert (row.status, row.attempt, row.amount_minor) == ("computed", 1, 35)
    days.settle("failed")
    days.use(10, days.clock.now() - timedelta(days=1))
    days.aggregate()
    assert days.compute() == {"computed": 1}
    [row] = days.rows()
    assert (row.kind, row.attempt, row.units, row.amount_minor) == ("period", 2, 20, 70)
