"""What commands show of a subscription and of an invoice's lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import Row

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions import items
    from billing_worker.domains.subscriptions.previews import Preview, PreviewLine
else:
    items = lazy_module("billing_worker.domains.subscriptions.items")

INSTANTS = ("trial_start", "trial_end", "cancel_at", "canceled_at", "ended_at", "billing_cycle_anchor", "start_date")


def subscription_facts(subscription: Mapping[str, Any]) -> dict[str, object]:
    """Return the facts of a subscription under Stripe's own names."""
    found = items.list_items(subscription)
    period = found[0] if found else {}
    return {
        "subscription": subscription.get("id"),
        "status": subscription.get("status"),
        "customer": _id(subscription.get("customer")),
        "items": [
            {"id": item.get("id"), "price": items.price_of(item), "quantity": item.get("quantity")} for item in found
        ],
        "current_period_start": instant(period.get("current_period_start")),
        "current_period_end": instant(period.get("current_period_end")),
        **{name: instant(subscription.get(name)) for name in INSTANTS},
        "cancel_at_period_end": subscription.get("cancel_at_period_end"),
        "collection_method": subscription.get("collection_method"),
        "default_payment_method": _id(subscription.get("default_payment_method")),
        "latest_invoice": _id(subscription.get("latest_invoice")),
        "livemode": subscription.get("livemode"),
    }


def line_rows(lines: Iterable[PreviewLine]) -> list[Row]:
    """Return rows of invoice lines, amounts in minor units."""
    return [{**asdict(line), "starts_at": line.starts_at, "ends_at": line.ends_at} for line in lines]


def preview_facts(preview: Preview) -> dict[str, object]:
    """Return what an invoice that does not exist yet would be."""
    return {
        "currency": preview.currency,
        "total_minor": preview.total_minor,
        "amount_due_minor": preview.amount_due_minor,
        "proration_minor": preview.proration_minor,
        "due_at": preview.due_at,
        "lines": line_rows(preview.lines),
    }


def instant(value: object) -> datetime | None:
    """Return Stripe's seconds as a time."""
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None


def _id(value: object) -> object:
    return value.get("id") if isinstance(value, Mapping) else value
