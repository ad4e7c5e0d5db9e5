"""Changes in the middle of a period cost what their seconds cost, to the cent."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox

MARCH = int(datetime(2027, 3, 1, tzinfo=UTC).timestamp())
MARCH_SECONDS = 31 * 86_400


def lines_of(invoice: stripe.Invoice) -> list[tuple[str, int]]:
    return [
        ((line.description or "").split(" after ")[0].split(" (at ")[0], line.amount) for line in invoice.lines.data
    ]


def nearest(amount_minor: int, part: int, whole: int) -> int:
    return int((Decimal(amount_minor) * part / whole).quantize(Decimal(1), ROUND_HALF_UP))


def begun(sandbox: Sandbox, price: str, **fields: object) -> tuple[stripe.Subscription, str, int]:
    sandbox.move_to(MARCH)
    payer = sandbox.payer()
    given = {"customer": payer.id, "items": [{"price": price}], **fields}
    subscription = sandbox.v1.subscriptions.create(given)
    item = subscription["items"].data[0]
    return subscription, item.id, item.current_period_start


@pytest.mark.parametrize("elapsed", [1, 86_399, 10 * 86_400 + 12_345, 31 * 86_400 - 1])
def test_an_upgrade_is_prorated_by_the_second(fresh: Sandbox, elapsed: int) -> None:
    small, large = fresh.price(1000), fresh.price(2999)
    subscription, item, start = begun(fresh, small.id)
    at = start + elapsed
    fresh.move_to(at)
    left = MARCH_SECONDS - elapsed
    credit, debit = -nearest(1000, left, MARCH_SECONDS), nearest(2999, left, MARCH_SECONDS)
    change = {"items": [{"id": item, "price": large.id}], "proration_date": at}
    preview = fresh.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": change})
    expected = [("Unused time on Plan 1000", credit), ("Remaining time on Plan 2999", debit), ("1 × Plan 2999", 2999)]  # noqa: RUF001 - as at Stripe
    assert lines_of(preview) == expected
    assert fresh.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == small.id

    fresh.v1.subscriptions.update(subscription.id, change)
    pending = fresh.v1.invoice_items.list({"pending": True}).data
    assert [(item.amount, item.proration, item.period.start) for item in pending] == [
        (debit, True, at),
        (credit, True, at),
    ]
    fresh.move_to(start + MARCH_SECONDS + 3600)
    renewal = fresh.v1.invoices.list({"subscription": subscription.id}).data[0]
    assert (lines_of(renewal), renewal.amount_paid) == (expected, credit + debit + 2999)
    assert fresh.v1.invoice_items.list({"pending": True}).data == []


def test_more_seats_are_charged_at_once_when_asked(fresh: Sandbox) -> None:
    price = fresh.price(1200)
    subscription, item, start = begun(fresh, price.id)
    at = start + MARCH_SECONDS // 2
    fresh.move_to(at)
    changed = fresh.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item, "quantity": 5}],
            "proration_behavior": "always_invoice",
            "proration_date": at,
            "expand": ["latest_invoice"],
        },
    )
    invoice = changed.latest_invoice
    assert lines_of(invoice) == [("Unused time on Plan 1200", -600), ("Remaining time on 5 × Plan 1200", 3000)]  # noqa: RUF001 - as at Stripe
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == ("paid", 2400, "subscription_update")
    assert changed["items"].data[0].current_period_end == start + MARCH_SECONDS


def test_a_downgrade_becomes_credit_and_pays_the_next_invoice(fresh: Sandbox) -> None:
    large, small = fresh.price(9000), fresh.price(1000)
    subscription, item, start = begun(fresh, large.id)
    fresh.move_to(start + MARCH_SECONDS // 2)
    fresh.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item, "price": small.id}],
            "proration_behavior": "always_invoice",
            "proration_date": start + MARCH_SECONDS // 2,
        },
    )
    credit_note = fresh.v1.invoices.list({"subscription": subscription.id}).data[0]
    assert (credit_note.total, credit_note.amount_due, credit_note.status) == (-4000, 0, "paid")
    assert fresh.v1.customers.retrieve(subscription.customer).balance == -4000
    fresh.move_to(start + MARCH_SECONDS + 3600)
    renewal = fresh.v1.invoices.list({"subscription": subscription.id}).data[0]
    assert (renewal.total, renewal.amount_due, renewal.starting_balance, renewal.ending_balance) == (
        1000,
        0,
        -4000,
        -3000,
    )
    assert len(fresh.v1.charges.list({"customer": subscription.customer}).data) == 1


def test_no_proration_when_told_so(fresh: Sandbox) -> None:
    small, large = fresh.price(1000), fresh.price(2000)
    subscription, item, start = begun(fresh, small.id)
    fresh.move_to(start + 86_400)
    change = {"items": [{"id": item, "price": large.id}], "proration_behavior": "none"}
    fresh.v1.subscriptions.update(subscription.id, change)
    assert fresh.v1.invoice_items.list().data == []
    fresh.move_to(start + MARCH_SECONDS + 3600)
    assert fresh.v1.invoices.list({"subscription": subscription.id}).data[0].total == 2000


def test_another_interval_is_charged_at_once_from_the_same_anchor(fresh: Sandbox) -> None:
    monthly, yearly = fresh.price(1000), fresh.price(10_000, interval="year")
    subscription, item, start = begun(fresh, monthly.id)
    fresh.move_to(start + MARCH_SECONDS // 2)
    change = {"items": [{"id": item, "price": yearly.id}], "proration_date": start + MARCH_SECONDS // 2}
    changed = fresh.v1.subscriptions.update(subscription.id, {**change, "expand": ["latest_invoice"]})
    # 350.5 of 366 days.
    charged = [("Unused time on Plan 1000", -500), ("Remaining time on Plan 10000", 9577)]
    assert (lines_of(changed.latest_invoice), changed.latest_invoice.amount_paid) == (charged, 9077)
    assert changed.billing_cycle_anchor == start
    ends = datetime.fromtimestamp(changed["items"].data[0].current_period_end, UTC)
    assert (ends.year, ends.month) == (2028, 3)


def test_items_come_and_go(fresh: Sandbox) -> None:
    base, extra = fresh.price(1000), fresh.price(500)
    subscription, _, start = begun(fresh, base.id)
    half = start + MARCH_SECONDS // 2
    fresh.move_to(half)
    added = fresh.v1.subscription_items.create(
        {"subscription": subscription.id, "price": extra.id, "quantity": 2, "proration_date": half}
    )
    assert (added.quantity, added.current_period_end) == (2, start + MARCH_SECONDS)
    three_quarters = start + MARCH_SECONDS * 3 // 4
    fresh.move_to(three_quarters)
    gone = fresh.v1.subscription_items.delete(added.id, {"proration_date": three_quarters})
    assert gone.deleted is True
    amounts = [item.amount for item in fresh.v1.invoice_items.list({"customer": subscription.customer}).data]
    assert amounts == [-250, 500]
    with pytest.raises(stripe.InvalidRequestError, match="at least one active plan"):
        fresh.v1.subscription_items.delete(fresh.v1.subscriptions.retrieve(subscription.id)["items"].data[0].id)


def test_a_refused_upgrade_can_leave_everything_as_it_was(fresh: Sandbox) -> None:
    small, large = fresh.price(1000), fresh.price(5000)
    subscription, item, start = begun(fresh, small.id)
    bad = fresh.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": subscription.customer})
    fresh.v1.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
    fresh.move_to(start + 86_400)
    before = fresh.control("state/hash")
    with pytest.raises(stripe.CardError):
        fresh.v1.subscriptions.update(
            subscription.id,
            {
                "items": [{"id": item, "price": large.id}],
                "proration_behavior": "always_invoice",
                "payment_behavior": "error_if_incomplete",
            },
        )
    assert fresh.control("state/hash") == before


def test_a_given_anchor_shortens_the_first_period(fresh: Sandbox) -> None:
    fresh.move_to(MARCH)
    payer, price = fresh.payer(), fresh.price(3100)
    anchor = MARCH + 20 * 86_400
    subscription = fresh.v1.subscriptions.create(
        {"customer": payer.id, "items": [{"price": price.id}], "billing_cycle_anchor": anchor}
    )
    item = subscription["items"].data[0]
    whole = 28 * 86_400  # 21 February to 21 March
    expected = nearest(3100, anchor - item.current_period_start, whole)
    assert item.current_period_end == anchor
    assert fresh.v1.invoices.retrieve(subscription.latest_invoice).amount_paid == expected
    fresh.move_to(anchor + 3600)
    assert fresh.v1.invoices.list({"subscription": subscription.id}).data[0].amount_paid == 3100


def test_ending_a_trial_now_charges_now(fresh: Sandbox) -> None:
    price = fresh.price(700)
    subscription, _, _ = begun(fresh, price.id, trial_period_days=30)
    active = fresh.v1.subscriptions.update(subscription.id, {"trial_end": "now", "expand": ["latest_invoice"]})
    assert (active.status, active.latest_invoice.amount_paid) == ("active", 700)
    assert active.trial_end == active["items"].data[0].current_period_start
