"""Reading a subscription as Stripe gives it: its items, its trial, how it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing_worker.kernel.errors import NotFoundError, RefusedError

ENDED = frozenset({"canceled", "incomplete_expired"})
"""Source: Stripe documentation, “How subscriptions work”: nothing follows these statuses."""


class SeveralItems(RefusedError):  # noqa: N818 - errors are named by the fact
    """A subscription has several items and the change names none."""


def list_items(subscription: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the items, as far as they are embedded."""
    return list((subscription.get("items") or {}).get("data") or [])


def find_item(subscription: Mapping[str, Any], item_id: str | None = None) -> Mapping[str, Any]:
    """Return the item that a change of price or quantity is about: the named one, or the only one.

    Raises: SeveralItems, NotFoundError.
    """
    items = list_items(subscription)
    known = ", ".join(f"{item['id']} ({price_of(item)})" for item in items)
    if item_id is not None:
        for item in items:
            if item["id"] == item_id:
                return item
        raise NotFoundError(f"subscription {subscription['id']} has no item {item_id}; it has {known or 'none'}")
    if len(items) != 1:
        raise SeveralItems(
            f"subscription {subscription['id']} has {len(items)} items: name one with --item; it has {known or 'none'}"
        )
    return items[0]


def price_of(item: Mapping[str, Any]) -> str | None:
    """Return the id of an item's price."""
    price = item.get("price")
    return price.get("id") if isinstance(price, Mapping) else price


def check_open(subscription: Mapping[str, Any]) -> None:
    """Refuse to change what has ended.

    Raises: RefusedError.
    """
    if subscription.get("status") in ENDED:
        raise RefusedError(
            f"subscription {subscription['id']} is {subscription['status']} and cannot change any more; a new one: "
            f"`nself billing subscription create --customer {subscription.get('customer')} --price PRICE`"
        )
