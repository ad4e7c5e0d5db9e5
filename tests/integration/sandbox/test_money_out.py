"""Money that leaves the account, and the objects from before payment intents."""

from __future__ import annotations

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox


def earn(sandbox: Sandbox, amount: int) -> None:
    given = {"amount": amount, "currency": "usd", "payment_method": "pm_card_bypassPending", "confirm": True}
    sandbox.v1.payment_intents.create(given)


def available(sandbox: Sandbox) -> int:
    return int(sandbox.v1.balance.retrieve().available[0].amount)


def test_payouts_and_transfers_spend_what_is_available_and_no_more(fresh: Sandbox) -> None:
    earn(fresh, 10_000)
    assert available(fresh) == 10_000 - 290 - 30
    with pytest.raises(stripe.InvalidRequestError, match="insufficient available funds"):
        fresh.v1.payouts.create({"amount": 9_681, "currency": "usd"})
    payout = fresh.v1.payouts.create({"amount": 4_000, "currency": "usd"})
    account = fresh.v1.accounts.create({"type": "express"})
    transfer = fresh.v1.transfers.create({"amount": 3_000, "currency": "usd", "destination": account.id})
    fresh.v1.transfers.reversals.create(transfer.id, {"amount": 1_000})
    assert fresh.v1.transfers.retrieve(transfer.id).amount_reversed == 1_000
    canceled = fresh.v1.payouts.create({"amount": 500, "currency": "usd"})
    fresh.v1.payouts.cancel(canceled.id)
    fresh.advance(days=2, seconds=60)
    assert available(fresh) == 9_680 - 4_000 - 3_000 + 1_000
    assert fresh.types_of(payout.id)[-1] == "payout.paid"
    assert fresh.types_of(canceled.id)[-1] == "payout.canceled"
    assert "transfer.reversed" in fresh.types_of(transfer.id)


def test_a_plan_is_a_price_under_its_old_name(sandbox: Sandbox) -> None:
    plan = sandbox.v1.plans.create({"amount": 2000, "currency": "usd", "interval": "month", "product": {"name": "Old"}})
    assert sandbox.v1.prices.retrieve(plan.id).unit_amount == 2000
    sandbox.v1.plans.update(plan.id, {"metadata": {"seen": "yes"}})
    assert sandbox.v1.prices.retrieve(plan.id).metadata["seen"] == "yes"
    updated = [event for event in sandbox.events_of(plan.id) if event["type"] == "plan.updated"]
    assert [event["data"]["previous_attributes"] for event in updated] == [{"metadata": {"seen": None}}]
    sandbox.v1.plans.delete(plan.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such plan"):
        sandbox.v1.plans.retrieve(plan.id)


def test_a_source_pays_invoices_by_default_and_charges_directly(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({"source": "tok_visa"})
    card = customer.default_source or sandbox.v1.customers.retrieve(customer.id).default_source
    sandbox.v1.invoice_items.create({"customer": customer.id, "amount": 900, "currency": "usd"})
    invoice = sandbox.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    paid = sandbox.v1.invoices.pay(invoice.id)
    charge = sandbox.v1.charges.create({"amount": 300, "currency": "usd", "customer": customer.id})
    assert (paid.status, charge.payment_method, charge.payment_intent) == ("paid", card, None)
    with pytest.raises(stripe.CardError, match="insufficient funds"):
        sandbox.v1.charges.create(
            {"amount": 300, "currency": "usd", "source": "tok_visa_chargeDeclinedInsufficientFunds"}
        )
    sandbox.v1.customers.payment_sources.delete(customer.id, card)
    assert sandbox.v1.customers.retrieve(customer.id).default_source is None


def test_a_token_is_good_for_one_use(sandbox: Sandbox) -> None:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    token = sandbox.v1.tokens.create({"card": card})
    customer = sandbox.v1.customers.create({})
    sandbox.v1.customers.payment_sources.create(customer.id, {"source": token.id})
    with pytest.raises(stripe.InvalidRequestError, match="more than once"):
        sandbox.v1.customers.payment_sources.create(customer.id, {"source": token.id})


def test_older_words_are_understood_only_without_a_version(sandbox: Sandbox) -> None:
    coupon = sandbox.v1.coupons.create({"percent_off": 50})
    unpinned = sandbox.raw("POST", "/v1/customers", data={"coupon": coupon.id}).json()
    assert unpinned["discount"]["source"] == {"coupon": coupon.id, "type": "coupon"}
    pinned = sandbox.raw(
        "POST", "/v1/customers", data={"coupon": coupon.id}, headers={"Stripe-Version": str(stripe.api_version)}
    )
    assert (pinned.status_code, pinned.json()["error"]["code"]) == (400, "parameter_unknown")


def test_a_customers_own_discount_is_taken_off_once(sandbox: Sandbox) -> None:
    coupon = sandbox.v1.coupons.create({"percent_off": 50, "duration": "once"})
    customer = sandbox.raw("POST", "/v1/customers", data={"coupon": coupon.id, "source": "tok_visa"}).json()
    totals = []
    for _ in range(2):
        sandbox.v1.invoice_items.create({"customer": customer["id"], "amount": 1000, "currency": "usd"})
        invoice = sandbox.v1.invoices.create({"customer": customer["id"], "pending_invoice_items_behavior": "include"})
        totals.append(invoice.total)
    assert totals == [500, 1000]
