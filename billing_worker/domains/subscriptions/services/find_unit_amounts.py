"""What a unit of the prices behind prorations costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing_worker.domains.subscriptions.previews import prices_without_amount
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.errors import StripeNotFound


def find_unit_amounts(gateway: StripeGateway, invoices: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """Look up the unit amounts of proration lines, which name their price and not what a unit of it costs.

    Shape: by price id; None where the price has tiers or is gone.
    Raises: the gateway's errors while Stripe cannot be asked.
    """
    return {price_id: _unit_amount(gateway, price_id) for price_id in sorted(prices_without_amount(invoices))}


def _unit_amount(gateway: StripeGateway, price_id: str) -> str | None:
    try:
        price = gateway.retrieve("price", price_id, may_be_cached=True).data
    except StripeNotFound:
        return None
    found: str | None = price.get("unit_amount_decimal")
    return found
