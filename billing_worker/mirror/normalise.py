"""Bring snapshots of older API versions to the pinned shapes, in this one place (STRIPE.md, “Shapes”).

Each rule only moves what an older version kept elsewhere; a snapshot already in today's shape passes unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Rule = Callable[[dict[str, Any]], None]


def normalise(object_type: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the snapshot in today's shape; the input is not changed."""
    rules = _RULES.get(object_type)
    if rules is None:
        return data
    moved = dict(data)
    for rule in rules:
        rule(moved)
    return moved


def _subscription_period_to_items(data: dict[str, Any]) -> None:
    """2025-03-31.basil moved current_period_* from the subscription to its items."""
    items = data.get("items")
    if "current_period_end" not in data or not isinstance(items, Mapping) or not isinstance(items.get("data"), list):
        return
    period = {name: data[name] for name in ("current_period_start", "current_period_end") if name in data}
    data["items"] = {
        **items,
        "data": [{**period, **item} if isinstance(item, Mapping) else item for item in items["data"]],
    }


def _invoice_subscription_to_parent(data: dict[str, Any]) -> None:
    """2025-03-31.basil moved invoice.subscription below invoice.parent."""
    if data.get("parent") is None and data.get("subscription") is not None:
        data["parent"] = {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {"subscription": data["subscription"], "metadata": {}},
        }


def _invoice_amount_remaining(data: dict[str, Any]) -> None:
    """Versions before 2019 leave amount_remaining to the reader."""
    due, paid = data.get("amount_due"), data.get("amount_paid")
    if "amount_remaining" not in data and isinstance(due, int) and isinstance(paid, int):
        data["amount_remaining"] = due - paid


_RULES: Mapping[str, tuple[Rule, ...]] = {
    "subscription": (_subscription_period_to_items,),
    "invoice": (_invoice_subscription_to_parent, _invoice_amount_remaining),
}
