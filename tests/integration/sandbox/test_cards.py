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


def test_every_card_that_operators_can_try_does_what_it_stands_for(sandbox: Sandbox) -> None:
    outcomes = {}
    for card in CARDS.values():
        details = {"type": "card", "card": {"number": card.number, "exp_month": 12, "exp_year": 2034}}
        method = sandbox.v1.payment_methods.create(details)
        payment = {"amount": 1000, "currency": "usd", "confirm": True, "payment_method": method.id}
        try:
            outcomes[card.number] = sandbox.v1.payment_intents.create(payment).status
        except stripe.CardError as declined:
            outcomes[card.number] = declined.json_body["error"]["decline_code"]
        named = sandbox.v1.payment_intents.create({**payment, "confirm": False, "payment_method": card.method})
        assert sandbox.v1.payment_methods.retrieve(named.payment_method).card.last4 == card.number[-4:]
    assert outcomes == {card.number: card.outcome for card in CARDS.values()}
