"""What changes what a customer owes: credit notes, promotion codes, quotes, checkout pages, schedules, pauses."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox

IBAN = "AT321904300235473204"


def open_invoice(sandbox: Sandbox, customer: str, amount: int = 2000) -> Any:
    sandbox.v1.invoice_items.create({"customer": customer, "amount": amount, "currency": "usd"})
    invoice = sandbox.v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})
    return sandbox.v1.invoices.finalize_invoice(invoice.id)


def credited(sandbox: Sandbox, invoice: str, amount: int, **given: Any) -> Any:
    line = {"type": "custom_line_item", "unit_amount": amount, "quantity": 1, "description": "Sorry"}
    return sandbox.v1.credit_notes.create({"invoice": invoice, "lines": [line], **given})


def test_a_credit_note_makes_an_open_invoice_smaller_until_it_is_void(sandbox: Sandbox) -> None:
    customer = sandbox.payer()
    invoice = open_invoice(sandbox, customer.id)
    note = credited(sandbox, invoice.id, 700)
    assert (note.type, note.pre_payment_amount, note.number) == ("pre_payment", 700, f"{invoice.number}-CN-01")
    credited_invoice = sandbox.v1.invoices.retrieve(invoice.id)
    assert (credited_invoice.amount_remaining, credited_invoice.pre_payment_credit_notes_amount) == (1300, 700)
    sandbox.v1.credit_notes.void_credit_note(note.id)
    assert sandbox.v1.invoices.retrieve(invoice.id).amount_remaining == 2000
    second = credited(sandbox, invoice.id, 500)
    paid = sandbox.v1.invoices.pay(invoice.id)
    assert (paid.status, paid.amount_paid, second.number) == ("paid", 1500, f"{invoice.number}-CN-02")
    charges = sandbox.v1.charges.list({"customer": customer.id}).data
    assert [charge.amount for charge in charges] == [1500]
    assert sandbox.types_of(note.id) == ["credit_note.created", "credit_note.updated", "credit_note.voided"]


def test_a_credit_note_over_everything_settles_the_invoice_without_a_payment(sandbox: Sandbox) -> None:
    customer = sandbox.payer()
    invoice = open_invoice(sandbox, customer.id)
    credited(sandbox, invoice.id, 2000)
    settled = sandbox.v1.invoices.retrieve(invoice.id)
    assert (settled.status, settled.amount_due, settled.amount_paid) == ("paid", 0, 0)
    assert sandbox.v1.charges.list({"customer": customer.id}).data == []


def test_a_credit_note_on_a_paid_invoice_gives_back_money_and_credit(sandbox: Sandbox) -> None:
    customer = sandbox.payer()
    invoice = sandbox.v1.invoices.pay(open_invoice(sandbox, customer.id).id)
    with pytest.raises(stripe.InvalidRequestError, match="must equal"):
        credited(sandbox, invoice.id, 900)
    note = credited(sandbox, invoice.id, 900, refund_amount=400, credit_amount=500)
    assert note.refunds[0].amount_refunded == 400
    assert sandbox.v1.customers.retrieve(customer.id).balance == -500
    charge = sandbox.v1.charges.list({"customer": customer.id}).data[0]
    assert charge.amount_refunded == 400
    with pytest.raises(stripe.InvalidRequestError, match="greater than what is left"):
        credited(sandbox, invoice.id, 1101, out_of_band_amount=1101)


def test_a_promotion_code_takes_off_and_is_used_up(sandbox: Sandbox) -> None:
    coupon = sandbox.v1.coupons.create({"percent_off": 20, "duration": "forever"})
    promotion = {"type": "coupon", "coupon": coupon.id}
    code = sandbox.v1.promotion_codes.create({"promotion": promotion, "code": "ONCE20", "max_redemptions": 1})
    price = sandbox.price(1000)
    given = {"items": [{"price": price.id}], "discounts": [{"promotion_code": code.id}]}
    subscription = sandbox.v1.subscriptions.create(
        {"customer": sandbox.payer().id, **given, "expand": ["latest_invoice", "discounts"]}
    )
    assert (subscription.latest_invoice.total, subscription.latest_invoice.amount_paid) == (800, 800)
    assert subscription.discounts[0].promotion_code == code.id
    used = sandbox.v1.promotion_codes.retrieve(code.id)
    assert (used.times_redeemed, used.active) == (1, False)
    with pytest.raises(stripe.InvalidRequestError, match="is inactive"):
        sandbox.v1.subscriptions.create({"customer": sandbox.payer().id, **given})
    assert [one.id for one in sandbox.v1.promotion_codes.list({"code": "ONCE20"}).data] == [code.id]


def test_an_accepted_quote_becomes_a_subscription(sandbox: Sandbox) -> None:
    customer, price = sandbox.payer(), sandbox.price(1500)
    quote = sandbox.v1.quotes.create({"customer": customer.id, "line_items": [{"price": price.id, "quantity": 3}]})
    assert (quote.status, quote.amount_total, quote.computed.recurring.amount_total) == ("draft", 4500, 4500)
    with pytest.raises(stripe.InvalidRequestError, match="status of draft"):
        sandbox.v1.quotes.accept(quote.id)
    sandbox.v1.quotes.finalize_quote(quote.id)
    accepted = sandbox.v1.quotes.accept(quote.id)
    subscription = sandbox.v1.subscriptions.retrieve(accepted.subscription)
    assert (subscription.status, subscription["items"].data[0].quantity) == ("active", 3)
    assert sandbox.v1.invoices.retrieve(accepted.invoice).amount_paid == 4500
    assert sandbox.types_of(quote.id) == ["quote.created", "quote.finalized", "quote.accepted"]


def test_an_accepted_quote_for_something_sold_once_becomes_a_draft(sandbox: Sandbox) -> None:
    price = sandbox.v1.prices.create({"unit_amount": 700, "currency": "usd", "product_data": {"name": "Chair"}})
    quote = sandbox.v1.quotes.create(
        {"customer": sandbox.payer().id, "line_items": [{"price": price.id, "quantity": 2}]}
    )
    sandbox.v1.quotes.finalize_quote(quote.id)
    accepted = sandbox.v1.quotes.accept(quote.id)
    invoice = sandbox.v1.invoices.retrieve(accepted.invoice)
    assert (invoice.status, invoice.total, accepted.subscription) == ("draft", 1400, None)


def test_a_checkout_page_makes_the_customer_and_the_subscription(sandbox: Sandbox) -> None:
    price = sandbox.price(1500)
    page = sandbox.v1.checkout.sessions.create(
        {"mode": "subscription", "line_items": [{"price": price.id, "quantity": 2}], "success_url": "https://a.test"}
    )
    method = sandbox.v1.payment_methods.create(
        {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"email": "new@example.com"}}
    )
    form = {"payment_method": method.id, "expected_amount": "3000"}
    answer = sandbox.raw("POST", f"/v1/payment_pages/{page.id}/confirm", data=form)
    assert answer.status_code == 200, answer.text
    done = sandbox.v1.checkout.sessions.retrieve(page.id, {"expand": ["line_items"]})
    assert (done.status, done.payment_status, done.line_items.data[0].quantity) == ("complete", "paid", 2)
    subscription = sandbox.v1.subscriptions.retrieve(done.subscription)
    assert (subscription.status, subscription.default_payment_method) == ("active", method.id)
    assert sandbox.v1.customers.retrieve(done.customer).email == "new@example.com"
    again = sandbox.raw("POST", f"/v1/payment_pages/{page.id}/confirm", data=form)
    assert again.status_code == 400


def test_a_page_that_nobody_confirms_expires_after_a_day(fresh: Sandbox) -> None:
    price = fresh.v1.prices.create({"unit_amount": 700, "currency": "usd", "product_data": {"name": "Chair"}})
    page = fresh.v1.checkout.sessions.create({"mode": "payment", "line_items": [{"price": price.id, "quantity": 1}]})
    fresh.advance(days=1, seconds=1)
    assert fresh.v1.checkout.sessions.retrieve(page.id).status == "expired"
    assert fresh.types_of(page.id) == ["checkout.session.expired"]


def test_a_schedule_changes_the_price_with_the_renewal_and_lets_go(fresh: Sandbox) -> None:
    customer, low, high = fresh.payer(), fresh.price(1000), fresh.price(3000)
    month = {"interval": "month", "interval_count": 1}
    schedule = fresh.v1.subscription_schedules.create(
        {
            "customer": customer.id,
            "start_date": "now",
            "phases": [
                {"items": [{"price": low.id, "quantity": 1}], "duration": month},
                {"items": [{"price": high.id, "quantity": 2}], "duration": month},
            ],
        }
    )
    assert (schedule.status, schedule.current_phase.end_date) == ("active", schedule.phases[0].end_date)
    fresh.advance(seconds=3700)
    fresh.move_to(schedule.phases[0].end_date + 3700)
    subscription = fresh.v1.subscriptions.retrieve(schedule.subscription)
    assert [(item.price.id, item.quantity) for item in subscription["items"].data] == [(high.id, 2)]
    fresh.move_to(schedule.phases[1].end_date + 3700)
    invoices = fresh.v1.invoices.list({"subscription": schedule.subscription}).data
    assert [(invoice.total, invoice.status) for invoice in invoices] == [(6000, "paid"), (6000, "paid"), (1000, "paid")]
    ended = fresh.v1.subscription_schedules.retrieve(schedule.id)
    released = fresh.v1.subscriptions.retrieve(schedule.subscription)
    assert (ended.status, released.status, released.schedule) == ("completed", "active", None)
    types = fresh.types_of(schedule.id)
    assert [types.count(f"subscription_schedule.{name}") for name in ("created", "expiring", "completed")] == [1, 1, 1]


def test_a_schedule_that_ends_with_cancel_ends_its_subscription(fresh: Sandbox) -> None:
    customer, price = fresh.payer(), fresh.price(1000)
    ends = fresh.now() + 10 * 86_400
    schedule = fresh.v1.subscription_schedules.create(
        {
            "customer": customer.id,
            "start_date": fresh.now() + 86_400,
            "end_behavior": "cancel",
            "phases": [{"items": [{"price": price.id}], "end_date": ends}],
        }
    )
    assert (schedule.status, schedule.subscription) == ("not_started", None)
    fresh.advance(days=2)
    running = fresh.v1.subscription_schedules.retrieve(schedule.id)
    assert running.status == "active"
    fresh.move_to(ends + 1)
    assert fresh.v1.subscriptions.retrieve(running.subscription).status == "canceled"
    assert fresh.v1.subscription_schedules.retrieve(schedule.id).status == "completed"


def test_a_trial_without_a_card_pauses_and_is_resumed(fresh: Sandbox) -> None:
    customer, price = fresh.v1.customers.create({}), fresh.price(1000)
    subscription = fresh.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price.id}],
            "trial_period_days": 7,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        }
    )
    fresh.advance(days=60)
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "paused"
    assert len(fresh.v1.invoices.list({"subscription": subscription.id}).data) == 1
    method = fresh.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    fresh.v1.subscriptions.update(subscription.id, {"default_payment_method": method.id})
    resumed = fresh.v1.subscriptions.resume(subscription.id, {"expand": ["latest_invoice"]})
    assert (resumed.status, resumed.latest_invoice.amount_paid) == ("active", 1000)
    types = fresh.types_of(subscription.id)
    assert [types.count(f"customer.subscription.{name}") for name in ("paused", "resumed")] == [1, 1]


def test_a_bank_debit_is_answered_minutes_later(fresh: Sandbox) -> None:
    method = fresh.v1.payment_methods.create(
        {"type": "sepa_debit", "sepa_debit": {"iban": IBAN}, "billing_details": {"name": "B", "email": "b@example.com"}}
    )
    given = {"amount": 1000, "currency": "eur", "payment_method": method.id, "confirm": True}
    intent = fresh.v1.payment_intents.create({**given, "allowed_payment_method_types": ["sepa_debit"]})
    assert intent.status == "processing"
    fresh.advance(seconds=200)
    assert fresh.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    charge = fresh.v1.charges.retrieve(intent.latest_charge)
    assert (charge.status, charge.paid, charge.amount_captured) == ("succeeded", True, 1000)
    assert fresh.types_of(charge.id)[:2] == ["charge.pending", "charge.succeeded"]


def test_held_money_is_taken_in_part(sandbox: Sandbox) -> None:
    given = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    intent = sandbox.v1.payment_intents.create({**given, "capture_method": "manual"})
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 2000)
    with pytest.raises(stripe.InvalidRequestError, match="Amount capturable"):
        sandbox.v1.payment_intents.capture(intent.id, {"amount_to_capture": 2001})
    taken = sandbox.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1500})
    assert (taken.status, taken.amount_received) == ("succeeded", 1500)
    entry = sandbox.v1.balance_transactions.list({"source": taken.latest_charge}).data[0]
    assert entry.amount == 1500


def test_a_bank_transfer_pays_what_waits_for_it_and_keeps_the_rest(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({})
    intent = sandbox.v1.payment_intents.create(
        {
            "amount": 3000,
            "currency": "eur",
            "customer": customer.id,
            "confirm": True,
            "allowed_payment_method_types": ["customer_balance"],
            "payment_method_data": {"type": "customer_balance"},
        }
    )
    sandbox.v1.test_helpers.customers.fund_cash_balance(customer.id, {"amount": 1000, "currency": "eur"})
    waiting = sandbox.v1.payment_intents.retrieve(intent.id)
    assert waiting.next_action.display_bank_transfer_instructions.amount_remaining == 2000
    sandbox.v1.test_helpers.customers.fund_cash_balance(customer.id, {"amount": 2500, "currency": "eur"})
    assert sandbox.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    assert sandbox.v1.customers.cash_balance.retrieve(customer.id).available["eur"] == 500
    moves = sandbox.v1.customers.cash_balance_transactions.list(customer.id).data
    assert [move.net_amount for move in moves] == [-2000, 2500, -1000, 1000]


def test_tax_rates_add_taxes_on_top_or_show_what_is_in_the_price(sandbox: Sandbox) -> None:
    on_top = sandbox.v1.tax_rates.create({"display_name": "Sales", "inclusive": False, "percentage": 8.25})
    within = sandbox.v1.tax_rates.create({"display_name": "VAT", "inclusive": True, "percentage": 19})
    price = sandbox.price(1190)
    given = {"items": [{"price": price.id}], "expand": ["latest_invoice"]}
    taxed = sandbox.v1.subscriptions.create(
        {"customer": sandbox.payer().id, **given, "default_tax_rates": [on_top.id]}
    ).latest_invoice
    assert (taxed.subtotal, taxed.total, taxed.total_excluding_tax, taxed.amount_paid) == (1190, 1288, 1190, 1288)
    assert [(tax.amount, tax.taxable_amount, tax.tax_behavior) for tax in taxed.total_taxes] == [
        (98, 1190, "exclusive")
    ]
    assert taxed.lines.data[0].taxes[0].tax_rate_details.tax_rate == on_top.id
    shown = sandbox.v1.subscriptions.create(
        {"customer": sandbox.payer().id, **given, "default_tax_rates": [within.id]}
    ).latest_invoice
    assert (shown.total, shown.total_excluding_tax, shown.total_taxes[0].amount) == (1190, 1000, 190)
    draft = sandbox.v1.invoices.create({"customer": sandbox.payer().id, "default_tax_rates": [on_top.id]})
    sandbox.v1.invoice_items.create(
        {"customer": draft.customer, "invoice": draft.id, "amount": 1000, "currency": "usd"}
    )
    assert sandbox.v1.invoices.retrieve(draft.id).total == 1083
    assert sandbox.v1.invoices.update(draft.id, {"default_tax_rates": [within.id]}).total == 1000


def test_a_phase_of_metered_prices_has_no_quantity_and_mixed_phases_are_refused_at_once(fresh: Sandbox) -> None:
    meter = fresh.v1.billing.meters.create(
        {"display_name": "M", "event_name": "m", "default_aggregation": {"formula": "sum"}}
    )
    metered = {"interval": "month", "usage_type": "metered", "meter": meter.id}
    used, seat, yearly = fresh.price(5, recurring=metered), fresh.price(1000), fresh.price(9000, "year")
    month = {"interval": "month", "interval_count": 1}
    given = {"customer": fresh.payer().id, "start_date": "now"}
    with pytest.raises(stripe.InvalidRequestError, match=r"same `recurring\.interval`"):
        fresh.v1.subscription_schedules.create(
            {**given, "phases": [{"items": [{"price": seat.id}, {"price": yearly.id}]}]}
        )
    schedule = fresh.v1.subscription_schedules.create(
        {
            **given,
            "phases": [
                {"items": [{"price": used.id}], "duration": month},
                {"items": [{"price": seat.id, "quantity": 4}, {"price": used.id}], "duration": month},
            ],
        }
    )
    assert schedule.phases[0]["items"][0].quantity is None
    fresh.move_to(schedule.phases[0].end_date + 3700)
    items = fresh.v1.subscriptions.retrieve(schedule.subscription)["items"].data
    assert [(item.price.id, "quantity" in item.to_dict()) for item in items] == [(seat.id, True), (used.id, False)]
