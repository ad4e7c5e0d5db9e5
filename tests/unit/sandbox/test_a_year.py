"""One customer's year on a test clock: trial, upgrade, planned downgrade, an expired card, recovery and the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.unit.sandbox.desk import Desk, Json, opened

CREATED = ["invoice.created", "customer.subscription.updated"]
PAID = ["invoice.paid", "invoice.payment_succeeded", "invoice_payment.paid"]
RENEWED = [*CREATED, "invoice.finalized", *PAID]
PREFIXES = ("customer.subscription.", "invoice.", "invoice_payment.", "subscription_schedule.", "charge.failed")


@pytest.fixture
def desk() -> Iterator[Desk]:
    with opened() as found:
        found.world.settings.smart_retries = True
        yield found


def at(month: int, day: int, hour: int = 0, *, year: int = 2027) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())


class Year:
    """A subscription with what is told of it."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.clock = desk, desk.clock()
        self.small, self.large = desk.price(2000, name="Small"), desk.price(5000, name="Large")
        self.customer = desk.post("customers", test_clock=self.clock)["id"]
        self.pay_with(exp_month=6, exp_year=2027)
        items = [{"price": self.small}]
        self.id = desk.post("subscriptions", customer=self.customer, items=items, trial_period_days=14)["id"]
        self._seen = 0
        assert self.told()[0] == "customer.subscription.created"

    def pay_with(self, **expiry: int) -> None:
        card = {"number": "4242424242424242", **expiry}
        made = self.desk.post("payment_methods", type="card", card=card)["id"]
        self.desk.post(f"payment_methods/{made}/attach", customer=self.customer)
        self.desk.post(f"customers/{self.customer}", invoice_settings={"default_payment_method": made})

    def until(self, to: int) -> list[str]:
        self.desk.advance(self.clock, to)
        return self.told()

    def told(self) -> list[str]:
        events = self.desk.listed("events")
        new, self._seen = events[self._seen :], len(events)
        types = [event["type"] for event in new]
        return [name for name in types if name.startswith(PREFIXES) and name != "invoice.updated"]

    def now(self) -> Json:
        return self.desk.get(f"subscriptions/{self.id}")

    def amounts(self) -> list[tuple[str, int, int]]:
        return [(bill["billing_reason"], bill["total"], bill["amount_paid"]) for bill in self.desk.invoices(self.id)]


def test_a_year(desk: Desk) -> None:
    year = Year(desk)
    try_and_upgrade(year)
    plan_the_downgrade(year)
    outlive_the_card(year)
    leave(year)
    assert year.amounts() == [
        ("subscription_create", 0, 0),
        ("subscription_cycle", 2000, 2000),
        ("subscription_update", 1500, 1500),
        ("subscription_cycle", 5000, 5000),
        *[("subscription_cycle", 2000, 2000)] * 10,
    ]
    charges = desk.listed("charges", customer=year.customer)
    assert sum(charge["amount"] for charge in charges if charge["paid"]) == 2000 + 1500 + 5000 + 10 * 2000


def try_and_upgrade(year: Year) -> None:
    assert year.now()["status"] == "trialing"
    assert year.until(at(3, 17, 1)) == ["customer.subscription.trial_will_end"]
    assert year.until(at(3, 20, 2)) == RENEWED
    assert year.now()["status"] == "active"
    year.until(at(4, 4, 12))
    item = year.now()["items"]["data"][0]
    # Half of 31 days: 10.00 of 20.00 come back, 25.00 of 50.00 are due.
    change = {"items": [{"id": item["id"], "price": year.large}], "proration_behavior": "always_invoice"}
    year.desk.post(f"subscriptions/{year.id}", **change)
    updated = "customer.subscription.updated"
    assert year.told() == [updated, "invoice.created", "invoice.finalized", *PAID, updated]


def plan_the_downgrade(year: Year) -> None:
    schedule = year.desk.post("subscription_schedules", from_subscription=year.id)
    phases = [
        {"items": [{"price": year.large}], "start_date": schedule["phases"][0]["start_date"], "end_date": at(5, 20)},
        {"items": [{"price": year.small}], "duration": {"interval": "month", "interval_count": 1}},
    ]
    year.desk.post(f"subscription_schedules/{schedule['id']}", phases=phases, end_behavior="release")
    planned = ["subscription_schedule.created", "subscription_schedule.updated"]
    assert year.told() == ["customer.subscription.updated", *planned]
    assert year.until(at(4, 20, 2)) == RENEWED
    begun = ["customer.subscription.updated", "subscription_schedule.updated"]
    assert year.until(at(5, 20, 2)) == [*begun, *RENEWED]
    told = year.until(at(6, 20, 2))
    assert told == ["subscription_schedule.expiring", *begun, "subscription_schedule.completed", *RENEWED]
    assert year.now()["schedule"] is None


def outlive_the_card(year: Year) -> None:
    failed = ["charge.failed", "invoice.payment_failed", "customer.subscription.updated"]
    assert year.until(at(7, 20, 2)) == [*CREATED, "invoice.finalized", *failed]
    assert year.now()["status"] == "past_due"
    unpaid = year.desk.invoices(year.id)[-1]
    assert (unpaid["status"], unpaid["amount_due"], unpaid["attempt_count"]) == ("open", 2000, 1)
    assert unpaid["next_payment_attempt"] == at(7, 23, 1)
    year.pay_with(exp_month=12, exp_year=2030)
    assert year.told() == []
    assert year.until(at(7, 23, 2)) == [*PAID, "customer.subscription.updated"]
    assert year.now()["status"] == "active"


def leave(year: Year) -> None:
    for month in (8, 9, 10, 11, 12):
        assert year.until(at(month, 20, 2)) == RENEWED
    for month in (1, 2):
        assert year.until(at(month, 20, 2, year=2028)) == RENEWED
    year.desk.post(f"subscriptions/{year.id}", cancel_at_period_end=True)
    assert year.told() == ["customer.subscription.updated"]
    assert year.until(at(3, 20, 2, year=2028)) == ["customer.subscription.deleted"]
    ended = year.now()
    assert (ended["status"], ended["ended_at"]) == ("canceled", at(3, 20, year=2028))
