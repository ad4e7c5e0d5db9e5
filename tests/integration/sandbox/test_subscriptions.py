"""Subscriptions begin, renew, fail, recover and end as at Stripe, each step at its own instant."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox

HOUR = 3600
DAY = 86_400


def unix(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc] # year, month, day, …


def item_of(subscription: stripe.Subscription) -> stripe.SubscriptionItem:
    found: stripe.SubscriptionItem = subscription["items"].data[0]
    return found


def test_from_trial_through_decline_to_payment(fresh: Sandbox) -> None:
    fresh.move_to(unix(2027, 3, 1, 12))
    payer, price = fresh.payer(), fresh.price(2500)
    given = {"customer": payer.id, "items": [{"price": price.id}], "trial_period_days": 14}
    subscription = fresh.v1.subscriptions.create(given)
    trial_end = subscription.trial_end
    assert (subscription.status, trial_end - subscription.created) == ("trialing", 14 * DAY)
    assert (item_of(subscription).current_period_end, subscription.billing_cycle_anchor) == (trial_end, trial_end)
    first = fresh.v1.invoices.retrieve(subscription.latest_invoice)
    assert (first.status, first.amount_due, first.billing_reason) == ("paid", 0, "subscription_create")

    fresh.move_to(trial_end)
    subscription = fresh.v1.subscriptions.retrieve(subscription.id)
    renewal = fresh.v1.invoices.retrieve(subscription.latest_invoice)
    assert (subscription.status, renewal.status) == ("active", "draft")
    assert (renewal.created, renewal.automatically_finalizes_at) == (trial_end, trial_end + HOUR)
    fresh.advance(seconds=HOUR)
    renewal = fresh.v1.invoices.retrieve(renewal.id, {"expand": ["payments"]})
    assert (renewal.status, renewal.amount_paid, renewal.attempt_count) == ("paid", 2500, 1)
    assert renewal.status_transitions.paid_at == trial_end + HOUR
    assert renewal.parent.subscription_details.subscription == subscription.id

    fresh.control("settings", {"remembers_declining_cards": True})
    poor = fresh.v1.payment_methods.attach("pm_card_visa_chargeDeclinedInsufficientFunds", {"customer": payer.id})
    fresh.v1.subscriptions.update(subscription.id, {"default_payment_method": poor.id})
    fresh.move_to(item_of(subscription).current_period_end + HOUR)
    subscription = fresh.v1.subscriptions.retrieve(subscription.id)
    unpaid = fresh.v1.invoices.retrieve(subscription.latest_invoice)
    assert (subscription.status, unpaid.status, unpaid.attempt_count) == ("past_due", "open", 1)
    assert (unpaid.next_payment_attempt, unpaid.amount_remaining) == (None, 2500)
    assert fresh.v1.customers.retrieve(payer.id).delinquent is True

    with pytest.raises(stripe.CardError) as declined:
        fresh.v1.invoices.pay(unpaid.id)
    assert (declined.value.code, declined.value.http_status) == ("card_declined", 402)
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "insufficient_funds"
    assert fresh.v1.invoices.retrieve(unpaid.id).attempt_count == 1

    good = payer.invoice_settings.default_payment_method
    paid = fresh.v1.invoices.pay(unpaid.id, {"payment_method": good})
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 2500, 0)
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "active"
    assert fresh.v1.customers.retrieve(payer.id).delinquent is False
    assert fresh.types_of(subscription.id) == [
        "customer.subscription.created",
        "customer.subscription.trial_will_end",
        "customer.subscription.updated",  # the trial ended
        "customer.subscription.updated",  # another card
        "customer.subscription.updated",  # the next period
        "customer.subscription.updated",  # past due
        "customer.subscription.updated",  # active again
    ]
    assert fresh.types_of(unpaid.id) == [
        "invoice.created",
        "invoice.updated",
        "invoice.finalized",
        "invoice.updated",
        "invoice.payment_failed",
        "invoice.payment_failed",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]
    charges = fresh.v1.charges.list({"customer": payer.id}).data
    assert [(charge.status, charge.amount) for charge in charges] == [
        ("succeeded", 2500),
        ("failed", 2500),
        ("failed", 2500),
        ("succeeded", 2500),
    ]


def test_events_carry_the_instant_at_which_they_are_due(fresh: Sandbox) -> None:
    payer, price = fresh.payer(), fresh.price()
    given = {"customer": payer.id, "items": [{"price": price.id}], "trial_period_days": 10}
    subscription = fresh.v1.subscriptions.create(given)
    fresh.advance(days=60)
    at = {event["type"]: event["created"] for event in reversed(fresh.events_of(subscription.id))}
    assert at["customer.subscription.trial_will_end"] == subscription.trial_end - 3 * DAY
    assert at["customer.subscription.updated"] == subscription.trial_end
    renewals = [
        invoice
        for invoice in fresh.v1.invoices.list({"subscription": subscription.id}).data
        if invoice.billing_reason == "subscription_cycle"
    ]
    assert len(renewals) == 2
    for invoice in renewals:
        finalized = next(event for event in fresh.events_of(invoice.id) if event["type"] == "invoice.finalized")
        assert finalized["created"] == invoice.created + HOUR


def test_a_short_trial_announces_its_end_at_once(sandbox: Sandbox) -> None:
    payer, price = sandbox.payer(), sandbox.price()
    given = {"customer": payer.id, "items": [{"price": price.id}], "trial_period_days": 2}
    subscription = sandbox.v1.subscriptions.create(given)
    assert sandbox.types_of(subscription.id) == [
        "customer.subscription.created",
        "customer.subscription.trial_will_end",
    ]


@pytest.mark.parametrize(
    ("start", "interval", "ends"),
    [
        (
            (2027, 1, 31, 10),
            "month",
            [(2027, 2, 28, 10), (2027, 3, 31, 10), (2027, 4, 30, 10), (2027, 5, 31, 10)],
        ),
        ((2028, 2, 29, 23), "year", [(2029, 2, 28, 23), (2030, 2, 28, 23)]),
        ((2027, 12, 31, 1), "month", [(2028, 1, 31, 1), (2028, 2, 29, 1), (2028, 3, 31, 1)]),
        ((2027, 1, 1, 0), "week", [(2027, 1, 8, 0), (2027, 1, 15, 0)]),
    ],
)
def test_periods_keep_their_anchor(
    fresh: Sandbox, start: tuple[int, ...], interval: str, ends: list[tuple[int, ...]]
) -> None:
    fresh.move_to(unix(*start))
    payer, price = fresh.payer(), fresh.price(interval=interval)
    subscription = fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
    anchored = subscription.created - unix(*start)
    for end in ends:
        item = item_of(fresh.v1.subscriptions.retrieve(subscription.id))
        assert item.current_period_end == unix(*end) + anchored
        fresh.move_to(item.current_period_end)


@pytest.mark.parametrize("behavior", ["allow_incomplete", "default_incomplete"])
def test_an_unpaid_first_invoice_expires_after_23_hours(fresh: Sandbox, behavior: str) -> None:
    payer, price = fresh.payer("pm_card_chargeCustomerFail"), fresh.price()
    given = {"customer": payer.id, "items": [{"price": price.id}], "payment_behavior": behavior}
    subscription = fresh.v1.subscriptions.create(given)
    assert subscription.status == "incomplete"
    fresh.move_to(subscription.created + 23 * HOUR - 60)
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "incomplete"
    fresh.advance(seconds=60)
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "incomplete_expired"
    assert fresh.v1.invoices.retrieve(subscription.latest_invoice).status == "void"
    fresh.advance(days=60)
    assert len(fresh.v1.invoices.list({"customer": payer.id}).data) == 1


def test_error_if_incomplete_leaves_nothing_behind(fresh: Sandbox) -> None:
    payer, price = fresh.payer("pm_card_chargeCustomerFail"), fresh.price()
    before = len(fresh.events())
    given = {"customer": payer.id, "items": [{"price": price.id}], "payment_behavior": "error_if_incomplete"}
    with pytest.raises(stripe.CardError):
        fresh.v1.subscriptions.create(given)
    assert fresh.v1.subscriptions.list({"status": "all"}).data == []
    assert fresh.v1.invoices.list().data == []
    assert fresh.v1.charges.list().data == []
    assert len(fresh.events()) == before


def test_default_incomplete_is_completed_by_confirming_the_payment(fresh: Sandbox) -> None:
    customer, price = fresh.v1.customers.create({"email": "x@example.com"}), fresh.price()
    subscription = fresh.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price.id}],
            "payment_behavior": "default_incomplete",
            "expand": ["latest_invoice.confirmation_secret"],
        }
    )
    assert subscription.status == "incomplete"
    intent_id = subscription.latest_invoice.confirmation_secret.client_secret.split("_secret_")[0]
    intent = fresh.v1.payment_intents.confirm(intent_id, {"payment_method": "pm_card_visa"})
    assert intent.status == "succeeded"
    assert fresh.v1.invoices.retrieve(subscription.latest_invoice.id).status == "paid"
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "active"
    attached = fresh.v1.payment_methods.list({"customer": customer.id}).data
    assert [method.id for method in attached] == [intent.payment_method]


def test_without_a_payment_method_a_charged_subscription_is_refused(sandbox: Sandbox) -> None:
    customer, price = sandbox.v1.customers.create({}), sandbox.price()
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source") as refused:
        sandbox.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    assert refused.value.code == "resource_missing"
    assert sandbox.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data == []


def test_a_card_that_wants_authentication_leaves_the_subscription_incomplete(fresh: Sandbox) -> None:
    payer, price = fresh.payer("pm_card_authenticationRequired"), fresh.price()
    subscription = fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
    assert subscription.status == "incomplete"
    types = fresh.types_of(subscription.latest_invoice)
    assert types[-2:] == ["invoice.payment_action_required", "invoice.payment_failed"]
    assert [event["type"] for event in fresh.events(type="payment_intent.requires_action")] == [
        "payment_intent.requires_action"
    ]


def test_the_end_of_the_period_ends_a_cancelled_subscription(fresh: Sandbox) -> None:
    payer, price = fresh.payer(), fresh.price()
    subscription = fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
    ends = item_of(subscription).current_period_end
    marked = fresh.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (marked.status, marked.cancel_at, marked.cancel_at_period_end) == ("active", ends, True)
    fresh.move_to(ends)
    ended = fresh.v1.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", ends)
    fresh.advance(days=40)
    assert len(fresh.v1.invoices.list({"customer": payer.id}).data) == 1
    assert fresh.types_of(subscription.id)[-1] == "customer.subscription.deleted"


def test_a_withdrawn_cancellation_renews(fresh: Sandbox) -> None:
    payer, price = fresh.payer(), fresh.price()
    subscription = fresh.v1.subscriptions.create(
        {"customer": payer.id, "items": [{"price": price.id}], "cancel_at_period_end": True}
    )
    back = fresh.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (back.cancel_at, back.canceled_at) == (None, None)
    fresh.advance(days=32)
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "active"
    assert len(fresh.v1.invoices.list({"customer": payer.id}).data) == 2


def test_an_end_at_a_given_instant(fresh: Sandbox) -> None:
    payer, price = fresh.payer(), fresh.price()
    subscription = fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
    with pytest.raises(stripe.InvalidRequestError, match="in the future"):
        fresh.v1.subscriptions.update(subscription.id, {"cancel_at": subscription.created - 1})
    at = subscription.created + 10 * DAY
    fresh.v1.subscriptions.update(subscription.id, {"cancel_at": at})
    fresh.advance(days=12)
    ended = fresh.v1.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", at)


def test_cancelling_at_once(fresh: Sandbox) -> None:
    payer, price = fresh.payer(), fresh.price()
    subscription = fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
    cancelled = fresh.v1.subscriptions.cancel(subscription.id, {"cancellation_details": {"comment": "moved away"}})
    assert (cancelled.status, cancelled.cancellation_details.reason) == ("canceled", "cancellation_requested")
    assert cancelled.cancellation_details.comment == "moved away"
    with pytest.raises(stripe.InvalidRequestError) as twice:
        fresh.v1.subscriptions.cancel(subscription.id)
    assert twice.value.http_status == 404
    for status, count in ((None, 0), ("all", 1), ("canceled", 1), ("active", 0), ("ended", 1)):
        filters = {"customer": payer.id} | ({"status": status} if status else {})
        assert len(fresh.v1.subscriptions.list(filters).data) == count


def test_smart_retries_try_thrice_and_then_cancel(fresh: Sandbox) -> None:
    fresh.control("settings", {"smart_retries": True})
    payer, price = fresh.payer(), fresh.price(interval="year")
    subscription = fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
    bad = fresh.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": payer.id})
    fresh.v1.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
    fresh.move_to(item_of(subscription).current_period_end + HOUR)
    invoice = fresh.v1.invoices.list({"customer": payer.id, "status": "open"}).data[0]
    first_at = invoice.created + HOUR
    assert (invoice.attempt_count, invoice.next_payment_attempt) == (1, first_at + 3 * DAY)
    fresh.move_to(first_at + 16 * DAY)
    failures = [event for event in fresh.events_of(invoice.id) if event["type"] == "invoice.payment_failed"]
    assert [(event["created"] - first_at) / DAY for event in failures] == [0, 3, 8, 15]
    assert [event["data"]["object"]["attempt_count"] for event in failures] == [1, 2, 3, 4]
    ended = fresh.v1.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert fresh.v1.invoices.retrieve(invoice.id).status == "open"


def test_a_past_due_subscription_recovers_with_its_newest_invoice_only(fresh: Sandbox) -> None:
    payer, price = fresh.payer(), fresh.price()
    subscription = fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
    good = payer.invoice_settings.default_payment_method
    bad = fresh.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": payer.id})
    fresh.v1.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
    fresh.advance(days=64)
    newest, older = fresh.v1.invoices.list({"customer": payer.id, "status": "open"}).data
    fresh.v1.invoices.pay(older.id, {"payment_method": good})
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "past_due"
    fresh.v1.invoices.pay(newest.id, {"payment_method": good})
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_a_trial_without_a_payment_method_ends_as_told(fresh: Sandbox) -> None:
    price = fresh.price()
    ended = {}
    for rule in ("cancel", "create_invoice"):
        customer = fresh.v1.customers.create({})
        ended[rule] = fresh.v1.subscriptions.create(
            {
                "customer": customer.id,
                "items": [{"price": price.id}],
                "trial_period_days": 5,
                "trial_settings": {"end_behavior": {"missing_payment_method": rule}},
            }
        ).id
    fresh.advance(days=5, seconds=HOUR)
    statuses = {rule: fresh.v1.subscriptions.retrieve(found).status for rule, found in ended.items()}
    assert statuses == {"cancel": "canceled", "create_invoice": "past_due"}


def test_sent_invoices_wait_for_payment(fresh: Sandbox) -> None:
    customer, price = fresh.v1.customers.create({"email": "x@example.com"}), fresh.price()
    subscription = fresh.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price.id, "quantity": 3}],
            "collection_method": "send_invoice",
            "days_until_due": 14,
        }
    )
    assert subscription.status == "active"
    fresh.advance(seconds=HOUR)
    invoice = fresh.v1.invoices.retrieve(subscription.latest_invoice)
    assert (invoice.status, invoice.amount_due, invoice.attempt_count) == ("open", 3000, 0)
    assert invoice.due_date == invoice.status_transitions.finalized_at + 14 * DAY
    assert fresh.types_of(invoice.id)[-1] == "invoice.sent"


def test_prices_that_do_not_fit_are_refused(sandbox: Sandbox) -> None:
    payer = sandbox.payer()
    monthly, yearly = sandbox.price(), sandbox.price(interval="year")
    euros = sandbox.price(currency="eur")
    once = sandbox.v1.prices.create({"unit_amount": 5, "currency": "usd", "product_data": {"name": "Once"}})
    retired = sandbox.price()
    sandbox.v1.prices.update(retired.id, {"active": False})
    for prices, message in (
        ([monthly, yearly], "same `recurring.interval`"),
        ([monthly, euros], "same currency"),
        ([once], "type=one_time"),
        ([retired], "inactive"),
    ):
        items = [{"price": price.id} for price in prices]
        with pytest.raises(stripe.InvalidRequestError, match=message):
            sandbox.v1.subscriptions.create({"customer": payer.id, "items": items})


def test_coupons_lower_the_invoices_they_last_for(fresh: Sandbox) -> None:
    payer, price = fresh.payer(), fresh.price(1999)
    half = fresh.v1.coupons.create({"percent_off": 50, "duration": "once"})
    fixed = fresh.v1.coupons.create({"amount_off": 300, "currency": "usd", "duration": "forever"})
    subscription = fresh.v1.subscriptions.create(
        {
            "customer": payer.id,
            "items": [{"price": price.id}],
            "discounts": [{"coupon": half.id}, {"coupon": fixed.id}],
        }
    )
    assert fresh.v1.invoices.retrieve(subscription.latest_invoice).total == 1999 - 1000 - 300
    fresh.advance(days=32)
    renewal = fresh.v1.invoices.list({"customer": payer.id}).data[0]
    assert (renewal.subtotal, renewal.total, renewal.amount_paid) == (1999, 1699, 1699)


def test_a_subscriptions_own_method_pays_where_the_customer_has_no_default(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({"name": "without default"})
    method = sandbox.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    given = {"customer": customer.id, "items": [{"price": sandbox.price(700).id}], "default_payment_method": method.id}
    subscription = sandbox.v1.subscriptions.create(given)
    invoice = sandbox.v1.invoices.retrieve(subscription.latest_invoice)
    assert (subscription.status, invoice.status, invoice.amount_paid) == ("active", "paid", 700)
    charges = sandbox.v1.charges.list({"customer": customer.id}).data
    assert [(charge.payment_method, charge.amount) for charge in charges] == [(method.id, 700)]
