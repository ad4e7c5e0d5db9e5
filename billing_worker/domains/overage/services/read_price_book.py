"""Read every overage price there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.overage.errors import InvalidOveragePriceError
from billing_worker.domains.overage.pricing import PriceBook, PricedMetric, unpack_price
from billing_worker.domains.overage.queries.overages import find_packed_price
from billing_worker.domains.overage.queries.payers import list_overage_prices
from billing_worker.domains.overage.rules import OveragePrice, read_stripe_price
from billing_worker.stripe_gateway.client import StripeGateway

_log = structlog.get_logger(__name__)


def read_price_book(unit_of_work: UnitOfWork, gateway: StripeGateway, written: Iterable[PricedMetric]) -> PriceBook:
    """Return the prices of the mirror and of the overage file; a metric with a price nobody can read has none.

    Phases: mirror read; tiers, which Stripe leaves out of events, called for unless a row keeps them.
    Raises: StripeUnavailable, RateLimited, StripeKeyRejected, StripeRefused, StripeNotFound.
    """
    with unit_of_work.transaction() as session:
        marked = list_overage_prices(session)
        kept = {
            price.id: packed
            for _, price in marked
            if _lacks_tiers(price.data) and (packed := find_packed_price(session, price.id)) is not None
        }
    entries: list[PricedMetric] = list(written)
    broken: dict[str, str] = {}
    for metric_type, price in marked:
        product = price.data.get("product")
        try:
            read = unpack_price(kept[price.id]) if price.id in kept else _read(gateway, price.data)
        except InvalidOveragePriceError as error:
            _log.warning("overage_price_unreadable", price=price.id, metric_type=metric_type, error=str(error))
            broken[metric_type] = str(error)
            continue
        product_id = str(product["id"] if isinstance(product, Mapping) else product)
        entries.append(PricedMetric(metric_type, replace(read, source=price.id), product_id))
    return PriceBook(entries, broken)


def _lacks_tiers(price: Mapping[str, Any]) -> bool:
    return price.get("billing_scheme") == "tiered" and not price.get("tiers")


def _read(gateway: StripeGateway, price: Mapping[str, Any]) -> OveragePrice:
    if not _lacks_tiers(price):
        return read_stripe_price(price)
    return read_stripe_price(gateway.retrieve("price", str(price["id"]), expand=["tiers"]).data)
