"""Invoices, payments, refunds, disputes and meters add up."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox

HOUR, DAY = 3600, 86_400


def pay_directly(sandbox: Sandbox, payer: Any, amount: int) -> Any:
    method = payer.invoice_settings.default_payment_method
    given = {"amount": amount, "currency": "usd", "customer": payer.id, "payment_method": method, "confirm": True}
    return sandbox.v1.payment_intents.create({**given, "expand": ["latest_charge.balance_transaction"]})


def manual_invoice(sandbox: Sandbox, payer: Any, *amounts: int, **fields: object) -> Any:
    for amount in amounts:
        sandbox.v1.invoice_items.create({"customer": payer.id, "amount": amount, "currency": "usd"})
    return sandbox.v1.invoices.create(
        {"customer": payer.id, "pending_invoice_items_behavior": "include", **fields},
    )


def test_a_manual_invoice_goes_from_draft_to_paid(sandbox: Sandbox) -> None:
    payer = sandbox.payer()
    draft = manual_invoice(sandbox, payer, 700, 55)
    assert (draft.status, draft.total, draft.auto_advance, draft.number) == ("draft", 755, False, None)
    more = sandbox.v1.invoice_items.create(
        {"customer": payer.id, "amount": 45, "currency": "usd", "invoice": draft.id, "description": "late"}
    )
    opened = sandbox.v1.invoices.finalize_invoice(draft.id)
    assert (opened.status, opened.amount_due, opened.amount_remaining) == ("open", 800, 800)
    assert [line.amount for line in opened.lines.data] == [700, 55, 45]
    with pytest.raises(stripe.InvalidRequestError, match="already finalized"):
        sandbox.v1.invoices.finalize_invoice(draft.id)
    with pytest.raises(stripe.InvalidRequestError, match="not a draft"):
        sandbox.v1.invoice_items.delete(more.id)
    paid = sandbox.v1.invoices.pay(draft.id)
    assert (paid.status, paid.amount_paid, paid.attempt_count) == ("paid", 800, 1)
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        sandbox.v1.invoices.pay(draft.id)
    payments = sandbox.v1.invoice_payments.list({"invoice": draft.id}).data
    assert [(payment.status, payment.amount_paid) for payment in payments] == [("paid", 800)]
    by_intent = {"type": "payment_intent", "payment_intent": payments[0].payment.payment_intent}
    assert sandbox.v1.invoice_payments.list({"payment": by_intent}).data[0].invoice == draft.id
    charges = sandbox.v1.charges.list({"customer": payer.id}).data
    assert [charge.amount for charge in charges] == [800]


def test_a_draft_can_be_emptied_and_deleted(sandbox: Sandbox) -> None:
    payer = sandbox.payer()
    draft = manual_invoice(sandbox, payer, 100, 200)
    first = draft.lines.data[0].parent.invoice_item_details.invoice_item
    sandbox.v1.invoice_items.delete(first)
    assert sandbox.v1.invoices.retrieve(draft.id).total == 200
    assert sandbox.v1.invoices.delete(draft.id).deleted is True
    waiting = sandbox.v1.invoice_items.list({"customer": payer.id, "pending": True}).data
    assert [item.amount for item in waiting] == [200]
    assert sandbox.types_of(draft.id)[-1] == "invoice.deleted"


@pytest.mark.parametrize(
    ("act", "status", "event"),
    [
        ("void_invoice", "void", "invoice.voided"),
        ("mark_uncollectible", "uncollectible", "invoice.marked_uncollectible"),
    ],
)
def test_open_invoices_can_be_given_up(sandbox: Sandbox, act: str, status: str, event: str) -> None:
    payer = sandbox.payer()
    draft = manual_invoice(sandbox, payer, 500)
    with pytest.raises(stripe.InvalidRequestError):
        getattr(sandbox.v1.invoices, act)(draft.id)
    sandbox.v1.invoices.finalize_invoice(draft.id)
    closed = getattr(sandbox.v1.invoices, act)(draft.id)
    assert (closed.status, sandbox.types_of(draft.id)[-1]) == (status, event)
    payment = sandbox.v1.invoice_payments.list({"invoice": draft.id}).data[0]
    assert payment.status == ("canceled" if status == "void" else "open")
    assert sandbox.v1.charges.list({"customer": payer.id}).data == []


def test_an_invoice_paid_elsewhere_takes_no_money(sandbox: Sandbox) -> None:
    payer = sandbox.payer()
    draft = manual_invoice(sandbox, payer, 500)
    paid = sandbox.v1.invoices.pay(draft.id, {"paid_out_of_band": True})
    assert paid.status == "paid"
    assert sandbox.v1.charges.list({"customer": payer.id}).data == []


def test_auto_advance_finalises_and_collects_after_an_hour(fresh: Sandbox) -> None:
    payer = fresh.payer()
    draft = manual_invoice(fresh, payer, 640, auto_advance=True)
    fresh.move_to(draft.created + HOUR - 5)
    assert fresh.v1.invoices.retrieve(draft.id).status == "draft"
    fresh.advance(seconds=5)
    assert fresh.v1.invoices.retrieve(draft.id).status == "paid"


def test_an_invoice_of_nothing_is_paid_when_finalised(sandbox: Sandbox) -> None:
    payer = sandbox.payer()
    draft = manual_invoice(sandbox, payer)
    assert sandbox.v1.invoices.finalize_invoice(draft.id).status == "paid"
    assert sandbox.v1.invoice_payments.list({"invoice": draft.id}).data == []


def test_the_balance_shows_what_came_in_and_what_went_out(fresh: Sandbox) -> None:
    payer = fresh.payer()
    intent = pay_directly(fresh, payer, 10_000)
    entry = intent.latest_charge.balance_transaction
    assert (entry.amount, entry.fee, entry.net, entry.status) == (10_000, 320, 9680, "pending")
    refund = fresh.v1.refunds.create({"payment_intent": intent.id, "amount": 2500, "reason": "requested_by_customer"})
    assert (refund.status, refund.amount, refund.charge) == ("succeeded", 2500, intent.latest_charge.id)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        fresh.v1.refunds.create({"charge": refund.charge, "amount": 7501})
    fresh.v1.refunds.create({"charge": refund.charge})
    charge = fresh.v1.charges.retrieve(refund.charge, {"expand": ["refunds"]})
    assert [one.amount for one in charge.refunds.data] == [7500, 2500]
    assert (charge.amount_refunded, charge.refunded) == (10_000, True)
    with pytest.raises(stripe.InvalidRequestError) as again:
        fresh.v1.refunds.create({"charge": refund.charge})
    assert again.value.code == "charge_already_refunded"
    entries = fresh.v1.balance_transactions.list().data
    assert [(line.type, line.net) for line in entries] == [("refund", -7500), ("refund", -2500), ("charge", 9680)]
    assert fresh.types_of(charge.id) == ["charge.succeeded", "charge.updated", "charge.refunded", "charge.refunded"]
    fresh.advance(days=2)
    assert fresh.v1.balance_transactions.retrieve(entry.id).status == "available"


def test_a_refund_that_fails_gives_the_charge_back(fresh: Sandbox) -> None:
    payer = fresh.payer("pm_card_refundFail")
    intent = pay_directly(fresh, payer, 900)
    refund = fresh.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "failed"
    assert fresh.v1.charges.retrieve(refund.charge).amount_refunded == 0
    assert fresh.types_of(refund.id) == ["refund.created", "refund.updated", "refund.failed"]
    assert sum(line.amount for line in fresh.v1.balance_transactions.list().data) == 900


@pytest.mark.parametrize(
    ("evidence", "status", "net"), [("winning_evidence", "won", 0), ("losing_evidence", "lost", -2000)]
)
def test_disputes_take_the_money_until_they_are_decided(fresh: Sandbox, evidence: str, status: str, net: int) -> None:
    payer = fresh.payer("pm_card_createDispute")
    intent = pay_directly(fresh, payer, 2000)
    dispute = fresh.v1.disputes.list({"payment_intent": intent.id}).data[0]
    assert (dispute.status, dispute.amount, dispute.reason) == ("needs_response", 2000, "fraudulent")
    assert fresh.v1.charges.retrieve(dispute.charge).disputed is True
    with pytest.raises(stripe.InvalidRequestError) as refused:
        fresh.v1.refunds.create({"charge": dispute.charge})
    assert refused.value.code == "charge_disputed"
    decided = fresh.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})
    assert decided.status == status
    adjustments = [line.amount for line in fresh.v1.balance_transactions.list({"type": "adjustment"}).data]
    assert sum(adjustments) == net
    types = fresh.types_of(dispute.id)
    assert types[:2] == ["charge.dispute.created", "charge.dispute.updated"]
    assert "charge.dispute.closed" in types
    assert ("charge.dispute.funds_reinstated" in types) == (status == "won")


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ],
)
def test_declines_say_why(sandbox: Sandbox, card: str, code: str, decline_code: str) -> None:
    sandbox.control("settings", {"remembers_declining_cards": True})
    payer = sandbox.payer(card)
    sandbox.control("settings", {"remembers_declining_cards": False})
    with pytest.raises(stripe.CardError) as declined:
        pay_directly(sandbox, payer, 1000)
    assert declined.value.error is not None
    assert (declined.value.code, declined.value.error.decline_code) == (code, decline_code)
    intent = sandbox.v1.payment_intents.list({"customer": payer.id}).data[0]
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error.decline_code == decline_code
    charge = sandbox.v1.charges.retrieve(intent.latest_charge)
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert sandbox.types_of(intent.id) == ["payment_intent.created", "payment_intent.payment_failed"]


def test_a_declining_card_is_not_attached(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({})
    with pytest.raises(stripe.CardError) as declined:
        sandbox.v1.payment_methods.attach("pm_card_visa_chargeDeclinedLostCard", {"customer": customer.id})
    error = declined.value.error
    assert error is not None
    assert (error.decline_code, error.advice_code, error.param) == ("lost_card", "try_again_later", "")
    assert sandbox.v1.customers.payment_methods.list(customer.id).data == []
    with pytest.raises(stripe.InvalidRequestError, match="one of your connected accounts") as nobodys:
        sandbox.v1.payment_methods.attach("pm_nobodys", {"customer": customer.id})
    assert (nobodys.value.http_status, nobodys.value.param) == (404, "payment_method")


@pytest.mark.parametrize(
    ("amount", "currency", "code", "words"),
    [
        (0, "usd", "parameter_invalid_integer", "minimum charge amount"),
        (49, "usd", "amount_too_small", "Amount must be at least $0.50 usd"),
        (49, "jpy", "amount_too_small", "Amount must be at least ¥50 jpy"),
        (100_000_000, "usd", "amount_too_large", "Amount must be no more than $999,999.99"),
        (1000, "xxx", None, "Invalid currency: xxx. Stripe currently supports these currencies: usd, aed"),
    ],
)
def test_what_no_card_is_charged(sandbox: Sandbox, amount: int, currency: str, code: str | None, words: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.payment_intents.create({"amount": amount, "currency": currency})
    assert refused.value.code == code
    assert words in str(refused.value)


def test_no_price_has_a_currency_of_nobody_and_an_item_has_its_invoices(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Invalid currency: xxx"):
        sandbox.price(1000, currency="xxx")
    payer = sandbox.payer()
    invoice = sandbox.v1.invoices.create({"customer": payer.id, "currency": "eur"})
    item = sandbox.v1.invoice_items.create({"customer": payer.id, "invoice": invoice.id, "amount": 700})
    assert (item.currency, sandbox.v1.invoices.retrieve(invoice.id).total) == ("eur", 700)


def test_cards_come_from_numbers_too_but_only_test_cards(sandbox: Sandbox) -> None:
    card = {"number": "4000 0000 0000 9995", "exp_month": 3, "exp_year": 2031, "cvc": "123"}
    method = sandbox.v1.payment_methods.create({"type": "card", "card": card})
    assert (method.card.last4, method.card.exp_month, method.customer) == ("9995", 3, None)
    with pytest.raises(stripe.CardError) as real:
        sandbox.v1.payment_methods.create({"type": "card", "card": {**card, "number": "4111111111111111"}})
    assert real.value.code == "incorrect_number"


def test_detached_cards_stay_detached(sandbox: Sandbox) -> None:
    payer = sandbox.payer()
    method = payer.invoice_settings.default_payment_method
    sandbox.v1.payment_methods.detach(method)
    assert sandbox.v1.customers.retrieve(payer.id).invoice_settings.default_payment_method is None
    assert sandbox.v1.payment_methods.list({"customer": payer.id}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        sandbox.v1.payment_methods.attach(method, {"customer": payer.id})


def test_another_customers_card_is_refused(sandbox: Sandbox) -> None:
    payer, other = sandbox.payer(), sandbox.payer()
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.customers.update(
            other.id,
            {"invoice_settings": {"default_payment_method": payer.invoice_settings.default_payment_method}},
        )
    with pytest.raises(stripe.InvalidRequestError, match="does not belong"):
        sandbox.v1.payment_intents.create(
            {
                "amount": 100,
                "currency": "usd",
                "customer": other.id,
                "payment_method": payer.invoice_settings.default_payment_method,
            }
        )


def test_setup_intents_attach_what_they_confirm(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({})
    intent = sandbox.v1.setup_intents.create({"customer": customer.id})
    assert intent.status == "requires_payment_method"
    done = sandbox.v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_mastercard"})
    assert done.status == "succeeded"
    methods = sandbox.v1.customers.payment_methods.list(customer.id).data
    assert [(method.id, method.card.brand) for method in methods] == [(done.payment_method, "mastercard")]
    assert sandbox.types_of(intent.id) == ["setup_intent.created", "setup_intent.succeeded"]
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.setup_intents.cancel(intent.id)


def meter_with_price(sandbox: Sandbox, amount: str) -> tuple[Any, Any]:
    name = f"calls_{len(sandbox.v1.billing.meters.list({'limit': 100}).data)}"
    meter = sandbox.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": name, "default_aggregation": {"formula": "sum"}}
    )
    price = sandbox.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount_decimal": amount,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
            "product_data": {"name": "Calls"},
        }
    )
    return meter, price


def report(sandbox: Sandbox, meter: Any, customer: str, value: int, **fields: object) -> None:
    payload = {"stripe_customer_id": customer, "value": str(value)}
    sandbox.v1.billing.meter_events.create({"event_name": meter.event_name, "payload": payload, **fields})


def test_usage_is_billed_in_arrears_for_its_own_period(fresh: Sandbox) -> None:
    meter, metered = meter_with_price(fresh, "0.5")
    payer, base = fresh.payer(), fresh.price(1000)
    subscription = fresh.v1.subscriptions.create(
        {"customer": payer.id, "items": [{"price": base.id}, {"price": metered.id}]}
    )
    assert fresh.v1.invoices.retrieve(subscription.latest_invoice).amount_paid == 1000
    ends = subscription["items"].data[0].current_period_end
    fresh.advance(days=5)
    report(fresh, meter, payer.id, 300, identifier="once")
    with pytest.raises(stripe.InvalidRequestError, match="already exists with identifier"):
        report(fresh, meter, payer.id, 300, identifier="once")
    report(fresh, meter, payer.id, 101)
    fresh.move_to(ends)
    report(fresh, meter, payer.id, 10, timestamp=ends - 60)  # late, but before the draft is finalised
    report(fresh, meter, payer.id, 7777)  # of the next period
    fresh.advance(seconds=HOUR)
    renewal = fresh.v1.invoices.list({"customer": payer.id}).data[0]
    # 411 calls at half a cent are 205.5, rounded half up.
    assert [line.amount for line in renewal.lines.data] == [1000, 206]
    assert (renewal.status, renewal.amount_paid) == ("paid", 1206)
    start = subscription["items"].data[0].current_period_start
    summary = fresh.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": payer.id, "start_time": start // 60 * 60, "end_time": ends // 60 * 60}
    )
    assert [entry.aggregated_value for entry in summary.data] == [411 if (ends - 60) < ends // 60 * 60 else 401]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"timestamp_offset": -36 * DAY}, "timestamp_too_far_in_past"),
        ({"timestamp_offset": 400}, "timestamp_in_future"),
        ({"customer": "cus_none"}, "meter_event_customer_not_found"),
        ({"value": "many"}, "meter_event_invalid_value"),
        ({"event_name": "unheard"}, "no_meter"),
    ],
)
def test_usage_that_cannot_be_right_is_refused(sandbox: Sandbox, change: dict[str, Any], code: str) -> None:
    meter, _ = meter_with_price(sandbox, "1")
    payer = sandbox.payer()
    payload = {"stripe_customer_id": change.get("customer", payer.id), "value": change.get("value", "1")}
    given = {"event_name": change.get("event_name", meter.event_name), "payload": payload}
    if "timestamp_offset" in change:
        given["timestamp"] = sandbox.now() + change["timestamp_offset"]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.billing.meter_events.create(given)
    assert refused.value.code == code


def test_summaries_by_day_and_adjustments(fresh: Sandbox) -> None:
    meter, _ = meter_with_price(fresh, "1")
    payer = fresh.payer()
    noon = fresh.now() // DAY * DAY + 36 * HOUR
    fresh.move_to(noon + 3 * DAY)
    for day, value in ((0, 5), (0, 6), (2, 7)):
        report(fresh, meter, payer.id, value, timestamp=noon + day * DAY, identifier=f"{day}-{value}")
    cancel = {"event_name": meter.event_name, "type": "cancel", "cancel": {"identifier": "0-6"}}
    fresh.v1.billing.meter_event_adjustments.create(cancel)
    midnight = noon - 12 * HOUR
    window = {"customer": payer.id, "start_time": midnight, "end_time": midnight + 3 * DAY}
    by_day = fresh.v1.billing.meters.event_summaries.list(meter.id, {**window, "value_grouping_window": "day"})
    assert [(entry.start_time, entry.aggregated_value) for entry in by_day.data] == [
        (midnight + 2 * DAY, 7),
        (midnight, 5),
    ]
    total = fresh.v1.billing.meters.event_summaries.list(meter.id, window)
    assert [entry.aggregated_value for entry in total.data] == [12]
