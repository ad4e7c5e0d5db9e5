"""A price as commands show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing_worker.mirror.objects import MirroredObject


def price_row(one: MirroredObject) -> dict[str, object]:
    """Describe a price in a line."""
    data = one.data
    recurring: Mapping[str, Any] = data.get("recurring") or {}
    every = f"{recurring.get('interval_count', 1)} {recurring['interval']}" if recurring else None
    product = data.get("product")
    return {
        "price": one.id,
        "product": product["id"] if isinstance(product, Mapping) else product,
        "currency": data.get("currency"),
        "unit_amount_minor": data.get("unit_amount") if data.get("unit_amount") is not None else _decimal(data),
        "every": every,
        "usage_type": recurring.get("usage_type"),
        "active": data.get("active"),
        "nickname": data.get("nickname"),
    }


def price_facts(one: MirroredObject) -> dict[str, object]:
    """Describe a price in full."""
    data = one.data
    recurring: Mapping[str, Any] = data.get("recurring") or {}
    metadata: Mapping[str, Any] = data.get("metadata") or {}
    return price_row(one) | {
        "type": "overage" if metadata.get("nself_type") == "overage" else data.get("type"),
        "metric": metadata.get("nself_metric"),
        "billing_scheme": data.get("billing_scheme"),
        "trial_period_days": recurring.get("trial_period_days"),
        "meter": recurring.get("meter"),
        "tax_behavior": data.get("tax_behavior"),
        "lookup_key": data.get("lookup_key"),
        "metadata": dict(metadata),
        "livemode": data.get("livemode"),
        "synced_at": one.synced_at,
    }


def _decimal(data: Mapping[str, Any]) -> str | None:
    value = data.get("unit_amount_decimal")
    return None if value is None else str(value)
