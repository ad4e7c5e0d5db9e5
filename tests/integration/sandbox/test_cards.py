"""Cards have an expiry and a security code, and time makes them expire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from billing_worker.seeds.cards import CARDS
from tests.integration.sandbox.process import Sandbox


def card(**details: Any) -> dict[str, Any]:
    return {"type": "card", "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, **details}}


@pytest.mark.parametrize(
    ("details", "code"),
    [
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 2020}, "invalid_expiry_year"),
        ({"exp_year": 2120}, "invalid_expiry_year"),
        ({"cvc": "12"}, "invalid_cvc"),
        ({"number": "4242424242424241"}, "incorrect_number"),
    ],
)
def test_a_card_that_cannot_be_is_refused(sandbox: Sandbox, details: dict[str, Any], code: str) -> None:
    with pytest.raises(stripe.CardError) as refused:
        sandbox.v1.payment_methods.create(card(**details))
    assert (refused.value.http_status, refused.value.code) == (402, code)


def test_a_card_is_declined_from_the_month_after_its_expiry(fresh: Sandbox) -> None:
    year = datetime.fromtimestamp(fresh.now(), UTC).year + 1
    method = fresh.v1.payment_methods.create(card(exp_month=3, exp_year=year, cvc="123"))
    payment = {"amount": 500, "currency": "usd", "payment_method": method.id, "confirm": True}
    fresh.move_to(int(datetime(year, 3, 31, 23, 59, tzinfo=UTC).timestamp()))
    assert fresh.v1.payment_intents.create(payment).status == "succeeded"
    fresh.move_to(int(datetime(year, 4, 1, 0, 1, tzinfo=UTC).timestamp()))
    with pytest.raises(stripe.CardError) as expired:
        fresh.v1.payment_intents.create(payment)
    assert expired.value.code == "expired_card"
    assert expired.value.error is not None
    assert expired.value.error.decline_code == "expired_card"


def test_a_holder_approves_a_payment_or_does_not(fresh: Sandbox) -> None:
    def asked(card: str) -> str:
        payment = {"amount": 1000, "currency": "usd", "confirm": True, "payment_method": card}
        intent = fresh.v1.payment_intents.create(payment)
        assert intent.status == "requires_action"
        return str(intent.id)

    approved, refused, declined = (
        asked("pm_card_authenticationRequired"),
        asked("pm_card_authenticationRequired"),
        asked("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"),
    )
    assert fresh.control("authentications", {"intent": approved})["status"] == "succeeded"
    failed = fresh.control("authentications", {"intent": refused, "succeeds": False})
    assert failed["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert fresh.control("authentications", {"intent": declined})["last_payment_error"]["decline_code"] == (
        "insufficient_funds"
    )
    fresh.control("authentications", {"intent": approved}, status=400)
    assert fresh.types_of(approved)[-1] == "payment_intent.succeeded"
    assert fresh.types_of(refused)[-1] == fresh.types_of(declined)[-1] == "payment_intent.payment_failed"


def test_an_invoice_is_paid_and_a_card_remembered_once_the_holder_approves(fresh: Sandbox) -> None:
    payer = fresh.payer("pm_card_authenticationRequired")
    subscription = fresh.v1.subscriptions.create(
        {"customer": payer.id, "items": [{"price": fresh.price().id}], "expand": ["latest_invoice.payments"]}
    )
    assert subscription.status == "incomplete"
    intent = subscription.latest_invoice.payments.data[0].payment.payment_intent
    fresh.control("authentications", {"intent": intent})
    assert fresh.v1.subscriptions.retrieve(subscription.id).status == "active"
    assert fresh.v1.invoices.retrieve(subscription.latest_invoice.id).status == "paid"
    card = "pm_card_authenticationRequiredOnSetup"
    setup = fresh.v1.setup_intents.create({"customer": payer.id, "payment_method": card, "confirm": True})
    assert fresh.control("authentications", {"intent": setup.id})["status"] == "succeeded"
    assert len(fresh.v1.customers.payment_methods.list(payer.id).data) == 2


def test_every_card_that_operators_can_try_does_what_it_stands_for(sandbox: Sandbox) -> None:
    outcomes = {}
    for card in CARDS.values():
        details = {"type": "card", "card": {"number": card.number, "exp_month": 12, "exp_year": 2034}}
        method = sandbox.v1.payment_methods.create(details)
        payment = {"amount": 1000, "currency": "usd", "confirm": True, "payment_method": method.id}
        try:
            outcomes[card.number] = sandbox.v1.payment_intents.create(payment).status
        except stripe.CardError as declined:
            body: Any = declined.json_body
            outcomes[card.number] = body["error"]["decline_code"]
        named = sandbox.v1.payment_intents.create({**payment, "confirm": False, "payment_method": card.method})
        assert sandbox.v1.payment_methods.retrieve(named.payment_method).card.last4 == card.number[-4:]
    assert outcomes == {card.number: card.outcome for card in CARDS.values()}
