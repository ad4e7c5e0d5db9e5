"""Which price a user's overage of a metric has, and how a row keeps it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from billing_worker.domains.overage.errors import InvalidOveragePriceError
from billing_worker.domains.overage.rules import OveragePrice, Scheme, Tier
from billing_worker.kernel.money import decimals_of
from billing_worker.kernel.periods import Period


@dataclass(frozen=True, slots=True)
class PricedMetric:
    """One price in the book; `product_id` is None for a price of the overage file."""

    metric_type: str
    price: OveragePrice
    product_id: str | None = None


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for a user.

    Shape: `currency` is None while he has bought nothing; `metered` maps metrics that Stripe itself bills him for to
    the end of that subscription, None while it lives.
    """

    account_id: str
    customer_id: str
    currency: str | None = None
    subscription_id: str | None = None
    product_ids: frozenset[str] = frozenset()
    metered: Mapping[str, datetime | None] = field(default_factory=dict)

    def is_metered(self, metric_type: str, since: datetime) -> bool:
        """Say whether Stripe bills a metric for a period that starts then."""
        if metric_type not in self.metered:
            return False
        end = self.metered[metric_type]
        return end is None or end > since


@dataclass(frozen=True, slots=True)
class Choice:
    """The price of a metric for a user, or why there is none."""

    price: OveragePrice | None
    why: str = ""


class PriceBook:
    """Every overage price of this installation."""

    def __init__(self, entries: Iterable[PricedMetric], broken: Mapping[str, str] | None = None) -> None:
        """Take the prices; `broken` maps metrics to what is wrong with a price of theirs."""
        self._entries = tuple(entries)
        self._broken = dict(broken or {})

    def metrics(self) -> list[str]:
        """Name the metrics that have a price."""
        return sorted({entry.metric_type for entry in self._entries})

    def choose(self, metric_type: str, payer: Payer | None, *, since: datetime) -> Choice:
        """Choose a user's price: Stripe's before the file's, his own product's before others, in his currency."""
        if payer is not None and payer.is_metered(metric_type, since):
            return Choice(None, f"Stripe bills {metric_type} itself, by a metered price of the user's subscription")
        if metric_type in self._broken:
            return Choice(None, self._broken[metric_type])
        currency = payer.currency if payer else None
        priced = [entry for entry in self._entries if entry.metric_type == metric_type]
        found = [entry for entry in priced if currency in {None, entry.price.currency}]
        found = [entry for entry in found if entry.product_id is not None] or found
        own = payer.product_ids if payer else frozenset()
        found = [entry for entry in found if entry.product_id in own] or found
        if len(found) == 1:
            return Choice(found[0].price)
        if found:
            names = ", ".join(sorted(entry.price.source for entry in found))
            return Choice(None, f"several prices fit {metric_type} ({names}): archive all but one of them")
        where = f" in {currency}" if priced else ""
        return Choice(
            None,
            f"{metric_type} has no overage price{where}: `nself billing price create --type overage "
            f"--metric {metric_type} …` makes one",
        )


def operator_price(rate: str, currency: str) -> OveragePrice:
    """Build the price that an operator names. Units: `rate` is in major units for each unit, 0.10 is ten cents.

    Raises: InvalidOveragePriceError.
    """
    wrong = InvalidOveragePriceError(
        f"rate {rate!r} is no price of a unit in {currency.upper()}; write for example 0.10"
    )
    try:
        minor = Decimal(rate).scaleb(decimals_of(currency))
    except ArithmeticError:
        raise wrong from None
    if not minor.is_finite() or minor < 0:
        raise wrong
    return OveragePrice(f"rate {rate}", currency, Scheme.PER_UNIT, (Tier(None, minor),))


def find_trial_price(
    written: Collection[PricedMetric], metric_type: str, currency: str, *, rate: str | None
) -> OveragePrice | None:
    """Return the price to try in a currency: of a rate, or the only one that fits among written ones.

    Shape: an empty currency stands for use that was never priced: any price fits it, a rate is in dollars then.
    Raises: InvalidOveragePriceError.
    """
    if rate is not None:
        return operator_price(rate, currency or "usd")
    payer = Payer("", "", currency or None)
    return PriceBook(written).choose(metric_type, payer, since=datetime.max.replace(tzinfo=UTC)).price


def pack_price(price: OveragePrice) -> dict[str, Any]:
    """Write a price as a row keeps it."""
    return {
        "source": price.source,
        "currency": price.currency,
        "scheme": price.scheme.value,
        "tiers": [[tier.up_to, f"{tier.unit_amount:f}", f"{tier.flat_amount:f}"] for tier in price.tiers],
        "divide_by": price.divide_by,
        "rounds_up": price.rounds_up,
        "minimum_minor": price.minimum_minor,
        "cap_minor": price.cap_minor,
    }


def unpack_price(packed: Mapping[str, Any]) -> OveragePrice:
    """Read a price that a row keeps."""
    tiers = tuple(Tier(up_to, Decimal(unit), Decimal(flat)) for up_to, unit, flat in packed["tiers"])
    return OveragePrice(**{**packed, "scheme": Scheme(packed["scheme"]), "tiers": tiers})


def hash_inputs(
    user_id: str, metric_type: str, period: Period, *, used: int, granted: int, price: Mapping[str, Any] | None
) -> str:
    """Return the SHA-256 of everything that a row's amount follows from."""
    inputs = {
        "user": user_id,
        "metric": metric_type,
        "period": [int(period.start.timestamp()), int(period.end.timestamp())],
        "used": used,
        "granted": granted,
        "price": price,
    }
    return sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def list_metered(
    subscriptions: Iterable[tuple[Mapping[str, Any], datetime | None]], event_names: Mapping[str, str]
) -> dict[str, datetime | None]:
    """Return the metrics that subscriptions bill by metered prices, with the end of each subscription.

    Shape: `event_names` maps Stripe's meters to the events they count, which are named as our metrics.
    """
    metered: dict[str, datetime | None] = {}
    for subscription, ended_at in subscriptions:
        for price in _prices(subscription):
            recurring = price.get("recurring") or {}
            if recurring.get("usage_type") != "metered":
                continue
            named = (price.get("metadata") or {}).get("nself_metric")
            for metric in {named, event_names.get(str(recurring.get("meter")))} - {None}:
                known = metered.get(str(metric), ended_at)
                metered[str(metric)] = None if known is None or ended_at is None else max(known, ended_at)
    return metered


def list_products(subscription: Mapping[str, Any]) -> frozenset[str]:
    """Return the products that a subscription is about."""
    products = (price.get("product") for price in _prices(subscription))
    return frozenset(str(one["id"] if isinstance(one, Mapping) else one) for one in products if one)


def _prices(subscription: Mapping[str, Any]) -> Collection[Mapping[str, Any]]:
    items = (subscription.get("items") or {}).get("data") or []
    return [item["price"] for item in items if isinstance(item.get("price"), Mapping)]
