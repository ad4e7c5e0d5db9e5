"""What a price is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from billing_worker.kernel.errors import InvalidValueError

OVERAGE = "overage"
KIND_KEY = "nself_type"
METRIC_KEY = "nself_metric"
"""Metadata by which an overage price and its metric are known."""

INTERVALS = ("day", "week", "month", "year")
DECIMALS = 12
"""Source: Stripe documentation, prices, `unit_amount_decimal`: at most twelve decimals."""


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """What a price shall be.

    Units: `amount` is in minor units, as text because it may have decimals (0.5 is half a cent).
    Shape: `metric` makes it an overage price: so much for each unit beyond the quota of that metric.
    """

    amount: str
    currency: str
    interval: str | None = None
    interval_count: int = 1
    trial_days: int | None = None
    nickname: str | None = None
    lookup_key: str | None = None
    metric: str | None = None
    meter: str | None = None
    metadata: Mapping[str, str] | None = None


def build_price(terms: PriceTerms) -> dict[str, Any]:
    """Build the parameters that Stripe takes, the product left out.

    Raises: InvalidValueError.
    """
    amount = _amount(terms.amount)
    if len(terms.currency) != 3 or not terms.currency.isalpha():  # noqa: PLR2004 - ISO 4217
        raise InvalidValueError(f"currency {terms.currency!r} is no code of three letters; write for example usd")
    metadata = dict(terms.metadata or {})
    if terms.metric is not None:
        metadata |= {KIND_KEY: OVERAGE, METRIC_KEY: terms.metric}
    price: dict[str, Any] = {
        "currency": terms.currency.lower(),
        "nickname": terms.nickname,
        "lookup_key": terms.lookup_key,
        "metadata": metadata or None,
        "recurring": _recurring(terms),
    }
    if amount == amount.to_integral_value():
        price["unit_amount"] = int(amount)
    else:
        price["unit_amount_decimal"] = f"{amount:f}"
    return {name: value for name, value in price.items() if value is not None}


def _recurring(terms: PriceTerms) -> dict[str, Any] | None:
    if terms.interval is None:
        needs_interval = [
            name for name, value in (("--trial-days", terms.trial_days), ("--meter", terms.meter)) if value is not None
        ]
        if needs_interval:
            raise InvalidValueError(f"{needs_interval[0]} is for recurring prices: add --interval month")
        return None
    recurring = {"interval": terms.interval, "interval_count": terms.interval_count}
    if terms.meter is not None:
        recurring |= {"usage_type": "metered", "meter": terms.meter}
    return recurring | ({} if terms.trial_days is None else {"trial_period_days": terms.trial_days})


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    exponent = amount.as_tuple().exponent
    if not amount.is_finite() or amount < 0 or not isinstance(exponent, int) or -exponent > DECIMALS:
        raise InvalidValueError(
            f"amount {text!r} is no number of minor units; write for example 999 for 9.99 USD, or 0.5 for half a cent"
        )
    return amount


def is_overage_price(price: Mapping[str, Any]) -> bool:
    """Say whether a price is what units beyond a quota cost: marked as such, or metered at Stripe."""
    marked = (price.get("metadata") or {}).get(KIND_KEY) == OVERAGE
    return marked or (price.get("recurring") or {}).get("usage_type") == "metered"
