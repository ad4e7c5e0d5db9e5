"""Use beyond a quota lands on an invoice exactly once, whatever comes in between."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from billing_worker.domains.overage.services.bill_due_overages import HELD_WAIT
from tests.support.overage import Shop


def month_of_use(shop: Shop, *, used: int = 1500, **price: Any) -> tuple[str, str]:
    """Live through a month of a user with 1,000 units; return his customer and the draft of the renewal."""
    customer = shop.subscriber()
    shop.overage_price(**price)
    shop.limit(1000)
    shop.use(used)
    return customer, shop.end_period()


def test_a_month_over_the_limit_is_on_the_renewals_invoice_once_and_paid(shop: Shop) -> None:
    customer, draft = month_of_use(shop)
    assert shop.compute() == {"computed": 1}
    assert shop.compute() == {}
    assert shop.bill() == {"billed": 1}
    assert shop.bill() == {}
    assert shop.items() == [(5000, draft)]
    assert shop.rows("status, kind, units, amount_minor, currency, customer_id, invoice_id, used_value") == [
        ("billed", "period", 500, 5000, "usd", customer, draft, 1500)
    ]
    shop.sandbox.advance(hours=2)
    shop.catch_up()
    invoice = shop.sandbox.api("GET", f"invoices/{draft}")
    assert (invoice["status"], invoice["total"], invoice["amount_paid"]) == ("paid", 6000, 6000)
    [line] = [line for line in invoice["lines"]["data"] if "nself_overage" in line["metadata"]]
    assert line["description"].startswith("api_calls: 500 beyond 1000")


def test_late_records_become_an_adjustment_and_no_second_charge(shop: Shop) -> None:
    _, draft = month_of_use(shop)
    in_period = shop.clock.now() - timedelta(days=10)
    shop.compute()
    shop.bill()
    shop.use(200, at=in_period)
    shop.catch_up()
    assert shop.compute() == {"computed": 1}
    assert shop.bill() == {"billed": 1}
    assert shop.rows("kind, status, units, amount_minor, used_value") == [
        ("period", "billed", 500, 5000, 1500),
        ("adjustment", "billed", 200, 2000, 1700),
    ]
    assert shop.items() == [(5000, draft), (2000, draft)]
    assert (shop.compute(), shop.bill()) == ({}, {})


def test_late_records_before_billing_change_the_row_itself(shop: Shop) -> None:
    month_of_use(shop)
    in_period = shop.clock.now() - timedelta(days=10)
    shop.compute()
    shop.use(200, at=in_period)
    shop.catch_up()
    shop.compute()
    assert shop.rows() == [("computed", 700, 7000)]


def test_little_is_carried_until_it_is_worth_a_charge_and_then_billed_line_by_line(shop: Shop) -> None:
    month_of_use(shop, used=1003)
    shop.compute()
    assert shop.bill() == {"carried": 1}
    assert (shop.bill(), shop.items()) == ({}, [])
    shop.sandbox.advance(hours=2)
    shop.catch_up()
    shop.use(1002)
    shop.end_period()
    shop.compute()
    assert shop.bill(billing_minimum_charge=50) == {"billed": 2}
    assert shop.rows() == [("billed", 3, 30), ("billed", 2, 20)]
    assert [amount for amount, _ in shop.items()] == [30, 20]


def test_safe_mode_and_automatic_payment_hold_items_back_and_lose_none(shop: Shop) -> None:
    _, draft = month_of_use(shop)
    shop.compute()
    assert shop.bill(billing_safe_mode=True) == {"held": 1}
    shop.clock.advance(HELD_WAIT)
    assert shop.bill(billing_auto_payment=False) == {"held": 1}
    assert (shop.bill(), shop.items()) == ({}, [])
    shop.clock.advance(HELD_WAIT)
    assert shop.bill() == {"billed": 1}
    assert shop.items() == [(5000, draft)]


def test_a_draft_that_became_final_sends_the_item_to_the_next_invoice(shop: Shop) -> None:
    _, draft = month_of_use(shop)
    shop.compute()
    shop.sandbox.api("POST", f"invoices/{draft}/finalize")  # the mirror does not know it yet
    assert shop.bill() == {"billing": 1, "billed": 1}
    assert shop.items() == [(5000, None)]
    [(status, attempt, invoice, subscription)] = shop.rows("status, attempt, invoice_id, subscription_id")
    assert (status, attempt, invoice) == ("billed", 1, None)
    assert subscription is not None


def test_tiers_of_a_price_at_stripe_are_read_there_and_kept(shop: Shop) -> None:
    tiers = [{"up_to": 100, "unit_amount": 10}, {"up_to": "inf", "unit_amount": 5}]
    product = shop.sandbox.api("POST", "products", name="Overage")["id"]
    shop.sandbox.api(
        "POST",
        "prices",
        product=product,
        currency="usd",
        billing_scheme="tiered",
        tiers_mode="graduated",
        tiers=tiers,
        recurring={"interval": "month"},
        metadata={"nself_type": "overage", "nself_metric": "api_calls"},
    )
    shop.subscriber()
    shop.limit(1000)
    shop.use(1500)
    shop.end_period()
    shop.compute()
    assert shop.rows() == [("computed", 500, 100 * 10 + 400 * 5)]


def test_a_metric_that_stripe_bills_by_a_meter_is_not_billed_again(shop: Shop) -> None:
    meter = shop.sandbox.api(
        "POST",
        "billing/meters",
        display_name="API calls",
        event_name="api_calls",
        default_aggregation={"formula": "sum"},
    )
    product = shop.sandbox.api("POST", "products", name="Calls")["id"]
    metered = shop.sandbox.api(
        "POST",
        "prices",
        product=product,
        currency="usd",
        unit_amount=1,
        recurring={"interval": "month", "usage_type": "metered", "meter": meter["id"]},
    )
    shop.subscriber(price=metered["id"])
    shop.overage_price()
    shop.limit(1000)
    shop.use(1500)
    shop.end_period()
    assert shop.compute() == {"unbillable": 1}
    [(status, units, amount, detail)] = shop.rows("status, units, amount_minor, detail")
    assert (status, units, amount) == ("unbillable", 500, 0)
    assert "Stripe bills api_calls itself" in detail
    assert (shop.compute(), shop.bill(), shop.items()) == ({}, {}, [])


def test_a_downgrade_in_the_middle_counts_both_limits(shop: Shop) -> None:
    shop.subscriber()
    shop.overage_price()
    shop.limit(10_000)
    shop.use(8_000)
    shop.sandbox.advance(days=10)
    shop.catch_up()
    shop.limit(1_000)
    shop.end_period()
    shop.compute()
    [(granted, units)] = shop.rows("granted_value, units")
    days = 30
    assert abs(granted - (10_000 * 10 + 1_000 * (days - 10)) / days) < 50
    assert units == 8_000 - granted
