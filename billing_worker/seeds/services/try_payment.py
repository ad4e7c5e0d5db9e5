"""Make one payment with a test card and say what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from billing_worker.app.installation import stripe_kind
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import Settings
from billing_worker.seeds.boundaries import SeedsError, require_test_mode
from billing_worker.seeds.cards import CARDS, Card
from billing_worker.seeds.client import MARK, SeedClient
from billing_worker.stripe_gateway.errors import CardDeclined

_EXPIRY = re.compile(r"(0?[1-9]|1[0-2])/(\d{2}|\d{4})")
_CENTURY = 2000
_TWO_DIGITS = 100
_CVC = re.compile(r"\d{3,4}")


class RealCardError(SeedsError):
    """Only Stripe's test cards are ever sent: a real number must not come here."""


@dataclass(frozen=True, slots=True)
class PaymentTrial:
    """What came of it, and what the card stands for. Units: minor units of the currency."""

    card: str
    amount_minor: int
    currency: str
    outcome: str
    expected: str
    payment_intent: str | None
    message: str

    @property
    def is_as_expected(self) -> bool:
        """Say whether the card did what it stands for."""
        return self.outcome == self.expected


def try_payment(
    settings: Settings,
    client: SeedClient,
    *,
    number: str,
    amount_minor: int,
    currency: str,
    expiry: str | None,
    cvc: str | None,
) -> PaymentTrial:
    """Make one payment with a test card and say what came of it; a decline is a result, not an error.

    Shape: Stripe itself takes no card numbers over its API, so there the card's payment method stands for it.
    Raises: LiveModeError, RealCardError, InvalidValueError.
    """
    require_test_mode(settings)
    card = _known(number)
    details = _details(card, expiry, cvc)
    payment: dict[str, Any] = {
        "amount": amount_minor,
        "currency": currency.lower(),
        "confirm": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "description": "test payment",
        "metadata": {MARK: "test-payment"},
    }
    try:
        method = card.method
        if stripe_kind(settings) == "sandbox":
            method = str(client.change("payment_methods.create", {"type": "card", "card": details})["id"])
        intent = client.change("payment_intents.create", payment | {"payment_method": method})
        outcome, intent_id, message = str(intent["status"]), intent["id"], ""
    except CardDeclined as declined:
        outcome, intent_id, message = declined.decline_code or declined.code, declined.payment_intent_id, str(declined)
    return PaymentTrial(
        f"…{card.number[-4:]}", amount_minor, currency.lower(), outcome, card.outcome, intent_id, message
    )


def _known(number: str) -> Card:
    digits = re.sub(r"[ -]", "", number)
    if not digits.isdecimal():
        raise InvalidValueError("a card is digits, for example --card 4242424242424242")
    if digits not in CARDS:
        raise RealCardError(
            f"a card ending in {digits[-4:]} is none of Stripe's test cards, and real numbers are never sent; "
            f"one of {', '.join(CARDS)}"
        )
    return CARDS[digits]


def _details(card: Card, expiry: str | None, cvc: str | None) -> dict[str, object]:
    details: dict[str, object] = {"number": card.number, "exp_month": 12, "exp_year": 2034}
    if expiry is not None:
        matched = _EXPIRY.fullmatch(expiry)
        if matched is None:
            raise InvalidValueError(f"{expiry} is no expiry: write month and year, for example --exp 12/34")
        year = int(matched[2])
        details |= {"exp_month": int(matched[1]), "exp_year": year + _CENTURY if year < _TWO_DIGITS else year}
    if cvc is not None:
        if _CVC.fullmatch(cvc) is None:
            raise InvalidValueError("a CVC is three or four digits, for example --cvc 123")
        details["cvc"] = cvc
    return details
