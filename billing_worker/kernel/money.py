"""Money in integer minor units; nothing here rounds without saying how."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from billing_worker.kernel.errors import InvalidValueError

ZERO_DECIMAL_CURRENCIES = frozenset(
    {
        *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg"),
        *("rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"),
    }
)
"""Source: Stripe documentation, “Supported currencies”, zero-decimal currencies."""

THREE_DECIMAL_CURRENCIES = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
"""Source: Stripe documentation, “Supported currencies”, three-decimal currencies."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency.

    Units: `amount_minor` counts the currency's smallest unit (cents for usd, yen for jpy).
    """

    amount_minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise InvalidValueError(f"cannot add {other.currency} to {self.currency}: convert one of them first")
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __str__(self) -> str:
        digits = decimals_of(self.currency)
        amount = Decimal(self.amount_minor).scaleb(-digits)
        return f"{amount:.{digits}f} {self.currency.upper()}"


def decimals_of(currency: str) -> int:
    """Return how many decimals a currency's major unit has."""
    code = currency.lower()
    if code in ZERO_DECIMAL_CURRENCIES:
        return 0
    return 3 if code in THREE_DECIMAL_CURRENCIES else 2


def parse_minor(text: str) -> int:
    """Read an amount of minor units as an operator types it.

    Raises: InvalidValueError for anything but a whole number.
    """
    try:
        return int(text)
    except ValueError:
        raise InvalidValueError(
            f"Invalid integer: {text}. Amounts are whole numbers of the smallest unit, for example 1000 for 10.00 USD"
        ) from None


def round_minor(exact: Decimal) -> int:
    """Round an exact amount of minor units to the nearest whole one, ties to even."""
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
