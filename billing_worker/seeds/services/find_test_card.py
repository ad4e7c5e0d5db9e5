"""Find the test card that an operator typed the number of."""

from __future__ import annotations

import re
from datetime import date

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import Settings
from billing_worker.seeds.boundaries import require_test_mode
from billing_worker.seeds.cards import CARDS, Card
from billing_worker.seeds.services.try_payment import RealCardError

_CVC = re.compile(r"\d{3,4}")
_MONTHS = range(1, 13)


def find_test_card(
    settings: Settings, number: str, *, exp_month: int, exp_year: int, cvc: str | None, today: date
) -> Card:
    """Return the card whose number it is, after the checks that a form makes; the number goes no further.

    Raises: LiveModeError; RealCardError for any other number, of which only the last digits are ever repeated;
    InvalidValueError for an expiry in the past or a security code that is none.
    """
    require_test_mode(settings)
    digits = re.sub(r"[ -]", "", number)
    if digits not in CARDS:
        raise RealCardError(
            f"a card ending in {digits[-4:]} is none of Stripe's test cards, and real numbers are never sent: "
            "customers give their cards to Stripe on a Checkout page or in Elements, then "
            "`nself billing payment-method attach`"
        )
    if exp_month not in _MONTHS or (exp_year, exp_month) < (today.year, today.month):
        raise InvalidValueError(
            f"--exp-month {exp_month} --exp-year {exp_year} has passed or is no month; write for example "
            f"--exp-month 12 --exp-year {today.year + 1}"
        )
    if cvc is not None and _CVC.fullmatch(cvc) is None:
        raise InvalidValueError("a CVC is three or four digits, for example --cvc 123")
    return CARDS[digits]
