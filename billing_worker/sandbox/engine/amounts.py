"""What can be charged at all: Stripe's currencies and the smallest and largest amounts in them."""

from __future__ import annotations

from decimal import Decimal

from billing_worker.kernel.money import decimals_of
from billing_worker.sandbox.core.errors import ApiError, invalid

_CODES = """
usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf
clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl hrk htg huf idr
ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mro mur
mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek
sgd shp sle sll sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer
zar zmw
"""
CURRENCIES = _CODES.split()
"""Source: Stripe documentation, “Currencies”."""
_SMALLEST = {
    **dict.fromkeys(("usd", "aud", "brl", "cad", "chf", "eur", "inr", "nzd", "sgd"), 50),
    **dict.fromkeys(("aed", "myr", "pln", "ron"), 200),
    **dict.fromkeys(("mxn", "thb"), 1000),
    **dict.fromkeys(("nok", "sek"), 300),
    "bgn": 100,
    "czk": 1500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17_500,
    "jpy": 50,
}
"""Units: minor. Source: Stripe documentation, “Currencies”, minimum charge amounts."""
_LARGEST = 99_999_999
"""Eight digits, whatever the currency."""
_SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def check_currency(currency: str, *, param: str = "currency") -> str:
    """Return a currency in lower case.

    Raises: ApiError for one that Stripe does not have.
    """
    code = currency.lower()
    if code not in CURRENCIES:
        raise invalid(
            f"Invalid currency: {code}. Stripe currently supports these currencies: {', '.join(CURRENCIES)}",
            param=param,
        )
    return code


def part_of(amount_minor: int, part: int, whole: int) -> int:
    """Give the part of an amount, rounded to the nearest whole one, halves away from zero.

    Source: Stripe documentation, “Prorations”: 445,540 of 2,678,400 seconds at 32.52 are 5.41; recordings agree.
    """
    exact = 2 * abs(amount_minor) * part + whole
    return exact // (2 * whole) * (-1 if amount_minor < 0 else 1)


def smallest_charge(currency: str) -> int:
    """Give the smallest amount that a card is charged in a currency."""
    return _SMALLEST.get(currency, 1)


def check_charge(amount_minor: int, currency: str) -> None:
    """Refuse an amount that no card is charged.

    Raises: ApiError.
    """
    smallest = smallest_charge(currency)
    if amount_minor < 1:
        raise invalid(
            "The amount must be greater than or equal to the minimum charge amount allowed for your account and the "
            "currency set (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).  If you want to "
            "save a Payment Method for future use without an immediate payment, use a Setup Intent instead: "
            "https://docs.stripe.com/payments/setup-intents",
            param="amount",
            code="parameter_invalid_integer",
        )
    if amount_minor < smallest:
        raise _refusal(f"Amount must be at least {_shown(smallest, currency)} {currency}", "amount_too_small")
    if amount_minor > _LARGEST:
        raise _refusal(f"Amount must be no more than {_shown(_LARGEST, currency)}", "amount_too_large")


def _refusal(message: str, code: str) -> ApiError:
    return ApiError(message, param="amount", code=code, is_executed=False)


def _shown(amount_minor: int, currency: str) -> str:
    decimals = decimals_of(currency)
    return f"{_SIGNS.get(currency, '')}{Decimal(amount_minor).scaleb(-decimals):,.{decimals}f}"
