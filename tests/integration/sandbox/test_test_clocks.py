"""Customers with a test clock live by it: renewals, trials, dunning, usage, and nothing of anybody else moves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox, running

HOUR = 3600
DAY = 86_400
YEAR_AHEAD = datetime.now(UTC).year + 1


def unix(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc] # year, month, day, …


def frozen_at(sandbox: Sandbox, instant: int) -> Any:
    return sandbox.v1.test_helpers.test_clocks.create({"frozen_time": instant, "name": "story"})


def advance(sandbox: Sandbox, clock: Any, instant: int) -> Any:
    leaving = sandbox.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": instant})
    assert (leaving.status, leaving.status_details.advancing.target_frozen_time) == ("advancing", instant)
    sandbox.control("test_clocks/wait", {"timeout_seconds": 60})
    arrived = sandbox.v1.test_helpers.test_clocks.retrieve(clock.id)
    assert (arrived.status, arrived.frozen_time) == ("ready", instant)
    return arrived


def subscribe(sandbox: Sandbox, customer: Any, **fields: Any) -> Any:
    price = fields.pop("price", None) or sandbox.price(2000)
    return sandbox.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}], **fields})


def test_a_clock_tells_its_life_and_stands_still(fresh: Sandbox) -> None:
    clock = frozen_at(fresh, unix(YEAR_AHEAD, 1, 1))
    assert (clock.object, clock.status, clock.name, clock.livemode) == (
        "test_helpers.test_clock",
        "ready",
        "story",
        False,
    )
    assert clock.deletes_after == clock.created + 30 * DAY
    advance(fresh, clock, unix(YEAR_AHEAD, 1, 2))
    assert [listed.id for listed in fresh.v1.test_helpers.test_clocks.list().data] == [clock.id]
    gone = fresh.v1.test_helpers.test_clocks.delete(clock.id)
    assert (gone.id, gone.deleted) == (clock.id, True)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        fresh.v1.test_helpers.test_clocks.retrieve(clock.id)
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    assert fresh.types_of(clock.id) == [
        f"test_helpers.test_clock.{what}" for what in ("created", "advancing", "ready", "deleted")
    ]


def test_a_customer_of_a_clock_renews_by_it(fresh: Sandbox) -> None:
    start = unix(YEAR_AHEAD, 1, 31, 10)
    bystander = subscribe(fresh, fresh.payer())
    clock = frozen_at(fresh, start)
    payer = fresh.payer(test_clock=clock.id)
    subscription = subscribe(fresh, payer)
    assert (payer.created, payer.test_clock, subscription.test_clock) == (start, clock.id, clock.id)
    assert (subscription.created, subscription.billing_cycle_anchor) == (start, start)
    first = fresh.v1.invoices.retrieve(subscription.latest_invoice)
    assert (first.created, first.status, first.status_transitions.paid_at, first.test_clock) == (
        start,
        "paid",
        start,
        clock.id,
    )
    march = unix(YEAR_AHEAD, 3, 31, 10)
    advance(fresh, clock, march)
    renewed = fresh.v1.subscriptions.retrieve(subscription.id)
    item = renewed["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == (march, unix(YEAR_AHEAD, 4, 30, 10))
    invoices = fresh.v1.invoices.list({"subscription": subscription.id}).data
    # February has no 31st: its last day renews, and an hour later the draft was paid.
    february = unix(YEAR_AHEAD, 3, 1, 10) - DAY
    assert [(invoice.created, invoice.status, invoice.status_transitions.paid_at) for invoice in invoices] == [
        (march, "draft", None),
        (february, "paid", february + HOUR),
        (start, "paid", start),
    ]
    assert fresh.v1.subscriptions.retrieve(bystander.id)["items"].data[0].current_period_start == bystander.created
    assert len(fresh.v1.invoices.list({"subscription": bystander.id}).data) == 1


def test_payments_and_events_keep_the_accounts_own_time(fresh: Sandbox) -> None:
    clock = frozen_at(fresh, unix(YEAR_AHEAD, 5, 1))
    payer = fresh.payer(test_clock=clock.id)
    before = fresh.now()
    subscribe(fresh, payer)
    advance(fresh, clock, unix(YEAR_AHEAD, 6, 2))
    after = fresh.now()
    intents = fresh.v1.payment_intents.list({"customer": payer.id}).data
    charges = fresh.v1.charges.list({"customer": payer.id}).data
    assert (len(intents), len(charges)) == (2, 2)
    assert all(before <= each.created <= after for each in [*intents, *charges])
    created = [event["created"] for event in fresh.events()]
    assert created == sorted(created)
    assert created[-1] <= after


def test_a_trial_ends_and_dunning_runs_on_the_clock(fresh: Sandbox) -> None:
    fresh.control("settings", {"smart_retries": True})
    start = unix(YEAR_AHEAD, 2, 1)
    clock = frozen_at(fresh, start)
    payer = fresh.payer("pm_card_chargeCustomerFail", test_clock=clock.id)
    subscription = subscribe(fresh, payer, trial_period_days=10)
    assert (subscription.status, subscription.trial_end) == ("trialing", start + 10 * DAY)
    advance(fresh, clock, start + 7 * DAY)
    assert fresh.types_of(subscription.id)[-1] == "customer.subscription.trial_will_end"
    advance(fresh, clock, start + 10 * DAY + HOUR)
    late = fresh.v1.subscriptions.retrieve(subscription.id)
    invoice = fresh.v1.invoices.retrieve(late.latest_invoice)
    assert (late.status, invoice.status, invoice.attempt_count) == ("past_due", "open", 1)
    assert invoice.next_payment_attempt == start + 13 * DAY + HOUR
    advance(fresh, clock, start + 30 * DAY)
    ended = fresh.v1.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert ended.ended_at == start + (10 + 3 + 5 + 7) * DAY + HOUR
    assert fresh.v1.invoices.retrieve(invoice.id).attempt_count == 4


def test_an_unpaid_beginning_expires_after_23_hours_of_the_clock(sandbox: Sandbox) -> None:
    start = unix(YEAR_AHEAD, 2, 1)
    clock = frozen_at(sandbox, start)
    payer = sandbox.payer(test_clock=clock.id)
    subscription = subscribe(sandbox, payer, payment_behavior="default_incomplete")
    assert subscription.status == "incomplete"
    advance(sandbox, clock, start + 23 * HOUR)
    expired = sandbox.v1.subscriptions.retrieve(subscription.id)
    assert (expired.status, expired.ended_at) == ("incomplete_expired", start + 23 * HOUR)


def test_usage_is_reported_and_billed_at_the_clocks_time(fresh: Sandbox) -> None:
    start = unix(YEAR_AHEAD, 4, 1)
    clock = frozen_at(fresh, start)
    payer = fresh.payer(test_clock=clock.id)
    meter = fresh.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    )
    metered = {"interval": "month", "usage_type": "metered", "meter": meter.id}
    price = fresh.price(7, recurring=metered)
    subscription = subscribe(fresh, payer, price=price)
    usage = {"event_name": "calls", "payload": {"stripe_customer_id": payer.id, "value": "30"}}
    recorded = fresh.v1.billing.meter_events.create(usage)
    assert recorded.timestamp == start
    advance(fresh, clock, start + 30 * DAY + 2 * HOUR)
    invoice = fresh.v1.invoices.list({"subscription": subscription.id}).data[0]
    assert (invoice.status, invoice.amount_paid, invoice.lines.data[0].quantity) == ("paid", 210, 30)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        fresh.v1.billing.meter_events.create(usage | {"timestamp": start + 90 * DAY})
    assert refused.value.code == "timestamp_in_future"


@pytest.mark.parametrize(
    ("interval", "farthest"),
    [
        ("day", (YEAR_AHEAD, 1, 3)),
        ("week", (YEAR_AHEAD, 1, 15)),
        ("month", (YEAR_AHEAD, 3, 1)),
        ("year", (YEAR_AHEAD + 2, 1, 1)),
        (None, (YEAR_AHEAD + 2, 1, 1)),
    ],
)
def test_two_intervals_at_a_time(sandbox: Sandbox, interval: str | None, farthest: tuple[int, ...]) -> None:
    clock = frozen_at(sandbox, unix(YEAR_AHEAD, 1, 1))
    payer = sandbox.payer(test_clock=clock.id)
    if interval is not None:
        subscribe(sandbox, payer, price=sandbox.price(500, interval=interval))
    for wrong in (unix(*farthest) + 1, clock.frozen_time, clock.frozen_time - DAY):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            sandbox.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": wrong})
        assert (refused.value.http_status, refused.value.param) == (400, "frozen_time")
    advance(sandbox, clock, unix(*farthest))


def test_lists_leave_customers_of_clocks_out_unless_asked(fresh: Sandbox) -> None:
    ordinary = fresh.payer()
    clock = frozen_at(fresh, unix(YEAR_AHEAD, 1, 1))
    timed = fresh.payer(test_clock=clock.id)
    subscription = subscribe(fresh, timed)
    assert [each.id for each in fresh.v1.customers.list().data] == [ordinary.id]
    assert [each.id for each in fresh.v1.customers.list({"test_clock": clock.id}).data] == [timed.id]
    assert fresh.v1.subscriptions.list().data == []
    assert [each.id for each in fresh.v1.subscriptions.list({"customer": timed.id}).data] == [subscription.id]
    assert [each.id for each in fresh.v1.subscriptions.list({"test_clock": clock.id}).data] == [subscription.id]


def test_a_clock_has_three_customers_with_three_subscriptions_each(sandbox: Sandbox) -> None:
    clock = frozen_at(sandbox, unix(YEAR_AHEAD, 1, 1))
    payer = sandbox.payer(test_clock=clock.id)
    price = sandbox.price()
    for _ in range(3):
        subscribe(sandbox, payer, price=price)
    with pytest.raises(stripe.InvalidRequestError) as fourth:
        subscribe(sandbox, payer, price=price)
    assert fourth.value.param == "customer"
    for _ in range(2):
        sandbox.v1.customers.create({"test_clock": clock.id})
    with pytest.raises(stripe.InvalidRequestError) as too_many:
        sandbox.v1.customers.create({"test_clock": clock.id})
    assert too_many.value.param == "test_clock"


def test_a_deleted_clock_takes_its_customers_along(fresh: Sandbox) -> None:
    clock = frozen_at(fresh, unix(YEAR_AHEAD, 1, 1))
    payer = fresh.payer(test_clock=clock.id)
    subscription = subscribe(fresh, payer)
    fresh.advance(days=30)
    with pytest.raises(stripe.InvalidRequestError):
        fresh.v1.test_helpers.test_clocks.retrieve(clock.id)
    assert fresh.v1.customers.retrieve(payer.id).deleted is True
    assert fresh.types_of(subscription.id)[-1] == "customer.subscription.deleted"
    assert fresh.types_of(clock.id) == ["test_helpers.test_clock.created", "test_helpers.test_clock.deleted"]


def test_an_existing_customer_joins_a_clock(fresh: Sandbox) -> None:
    payer = fresh.payer()
    subscription = subscribe(fresh, payer)
    clock = fresh.v1.test_helpers.test_clocks.create({"frozen_time": fresh.now() + HOUR, "customer": payer.id})
    assert fresh.v1.subscriptions.retrieve(subscription.id).test_clock == clock.id
    end = subscription["items"].data[0].current_period_end
    advance(fresh, clock, end + HOUR)
    renewed = fresh.v1.subscriptions.retrieve(subscription.id)
    assert renewed["items"].data[0].current_period_start == end
    assert fresh.v1.invoices.retrieve(renewed.latest_invoice).status == "paid"


def test_a_killed_sandbox_goes_on_where_its_clock_was_sent(tmp_path: Path) -> None:
    target = unix(YEAR_AHEAD + 1, 12, 31)
    with running(tmp_path) as sandbox:
        clock = frozen_at(sandbox, unix(YEAR_AHEAD, 1, 1))
        payer = sandbox.payer(test_clock=clock.id)
        subscription = subscribe(sandbox, payer, price=sandbox.price(900, interval="year"))
        subscribe(sandbox, payer, price=sandbox.price(100, recurring={"interval": "month", "interval_count": 12}))
        sandbox.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": target})
        sandbox.kill()
    with running(tmp_path) as sandbox:
        sandbox.control("test_clocks/wait", {"timeout_seconds": 60})
        arrived = sandbox.v1.test_helpers.test_clocks.retrieve(clock.id)
        assert (arrived.status, arrived.frozen_time) == ("ready", target)
        invoices = sandbox.v1.invoices.list({"subscription": subscription.id}).data
        assert [(invoice.created, invoice.status) for invoice in invoices] == [
            (unix(YEAR_AHEAD + 1, 1, 1), "paid"),
            (unix(YEAR_AHEAD, 1, 1), "paid"),
        ]


def test_a_schedule_changes_phases_by_its_customers_clock(fresh: Sandbox) -> None:
    start = unix(YEAR_AHEAD, 6, 15)
    clock = frozen_at(fresh, start)
    payer = fresh.payer(test_clock=clock.id)
    cheap, dear = fresh.price(1000), fresh.price(3000)
    monthly = {"interval": "month", "interval_count": 1}
    schedule = fresh.v1.subscription_schedules.create(
        {
            "customer": payer.id,
            "start_date": "now",
            "end_behavior": "release",
            "phases": [
                {"items": [{"price": cheap.id}], "duration": monthly},
                {"items": [{"price": dear.id}], "duration": monthly},
            ],
        }
    )
    assert (schedule.status, schedule.test_clock) == ("active", clock.id)
    advance(fresh, clock, unix(YEAR_AHEAD, 7, 15, 2))
    subscription = fresh.v1.subscriptions.retrieve(schedule.subscription)
    assert subscription["items"].data[0].price.id == dear.id
    invoice = fresh.v1.invoices.retrieve(subscription.latest_invoice)
    assert (invoice.created, invoice.status, invoice.amount_paid) == (unix(YEAR_AHEAD, 7, 15), "paid", 3000)
    advance(fresh, clock, unix(YEAR_AHEAD, 8, 15, 2))
    ended = fresh.v1.subscription_schedules.retrieve(schedule.id)
    assert (ended.status, ended.subscription) == ("completed", subscription.id)
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_a_change_in_the_middle_of_a_period_is_prorated_at_the_clocks_instant(sandbox: Sandbox) -> None:
    start = unix(YEAR_AHEAD, 4, 1)
    clock = frozen_at(sandbox, start)
    payer = sandbox.payer(test_clock=clock.id)
    subscription = subscribe(sandbox, payer, price=sandbox.price(3000))
    advance(sandbox, clock, start + 15 * DAY)
    item = {"id": subscription["items"].data[0].id, "price": sandbox.price(9000).id}
    given = {"items": [item], "proration_behavior": "always_invoice"}
    changed = sandbox.v1.subscriptions.update(subscription.id, given)
    invoice = sandbox.v1.invoices.retrieve(changed.latest_invoice)
    assert invoice.created == start + 15 * DAY
    assert [(line.amount, line.period.start) for line in invoice.lines.data] == [
        (-1500, start + 15 * DAY),
        (4500, start + 15 * DAY),
    ]
    assert (invoice.status, invoice.amount_paid) == ("paid", 3000)
    preview = sandbox.v1.invoices.create_preview({"subscription": subscription.id})
    assert (preview.amount_due, preview.created) == (9000, unix(YEAR_AHEAD, 5, 1))


def test_a_subscription_ends_with_its_period_on_the_clock(sandbox: Sandbox) -> None:
    start = unix(YEAR_AHEAD, 4, 1)
    clock = frozen_at(sandbox, start)
    subscription = subscribe(sandbox, sandbox.payer(test_clock=clock.id))
    sandbox.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    advance(sandbox, clock, unix(YEAR_AHEAD, 5, 1) - 1)
    assert sandbox.v1.subscriptions.retrieve(subscription.id).status == "active"
    advance(sandbox, clock, unix(YEAR_AHEAD, 5, 1))
    ended = sandbox.v1.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", unix(YEAR_AHEAD, 5, 1))
    assert len(sandbox.v1.invoices.list({"subscription": subscription.id}).data) == 1
