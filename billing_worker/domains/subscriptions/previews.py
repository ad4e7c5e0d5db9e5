"""What Stripe would bill: an invoice that does not exist yet, and our own arithmetic beside its prorations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from billing_worker.domains.subscriptions.items import list_items, price_of

TOLERATED_MINOR = 1
"""Stripe rounds each line; ours may fall on the other side of a half."""


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """One line of an invoice.

    Units: amounts in minor units of the invoice's currency; the period is half-open.
    Shape: `expected_minor` is what we make of a proration from price, quantity and seconds; None where the price has
    tiers or the line is none.
    """

    description: str
    amount_minor: int
    is_proration: bool
    price_id: str | None
    quantity: int | None
    starts_at: datetime
    ends_at: datetime
    expected_minor: int | None = None

    @property
    def differs(self) -> bool:
        """Say whether Stripe's amount is not what the price, the quantity and the seconds give."""
        return self.expected_minor is not None and abs(self.expected_minor - self.amount_minor) > TOLERATED_MINOR


@dataclass(frozen=True, slots=True)
class Preview:
    """An invoice that Stripe would make."""

    currency: str
    total_minor: int
    amount_due_minor: int
    proration_minor: int
    due_at: datetime | None
    lines: tuple[PreviewLine, ...]


def read_preview(
    invoice: Mapping[str, Any],
    subscription: Mapping[str, Any] | None = None,
    unit_amounts: Mapping[str, str | None] | None = None,
) -> Preview:
    """Read an invoice's lines; with its subscription at hand, prorations are computed again beside Stripe's."""
    embedded = invoice.get("lines") or {}
    lines = tuple(read_line(line, subscription, unit_amounts) for line in embedded.get("data") or [])
    due = invoice.get("next_payment_attempt") or invoice.get("due_date") or invoice.get("period_end")
    return Preview(
        currency=str(invoice.get("currency") or ""),
        total_minor=int(invoice.get("total") or 0),
        amount_due_minor=int(invoice.get("amount_due") or 0),
        proration_minor=sum(line.amount_minor for line in lines if line.is_proration),
        due_at=_instant(due),
        lines=lines,
    )


def read_line(
    line: Mapping[str, Any],
    subscription: Mapping[str, Any] | None = None,
    unit_amounts: Mapping[str, str | None] | None = None,
) -> PreviewLine:
    """Read one line of an invoice as the pinned API version gives it.

    Shape: `unit_amounts` are those of prices, by id: a proration line names its price only.
    """
    parent = line.get("parent") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    pricing = line.get("pricing") or {}
    period = line.get("period") or {}
    is_proration = bool(details.get("proration"))
    read = PreviewLine(
        description=str(line.get("description") or ""),
        amount_minor=int(line.get("amount") or 0),
        is_proration=is_proration,
        price_id=(pricing.get("price_details") or {}).get("price"),
        quantity=line.get("quantity"),
        starts_at=datetime.fromtimestamp(int(period.get("start") or 0), UTC),
        ends_at=datetime.fromtimestamp(int(period.get("end") or 0), UTC),
    )
    if not is_proration or subscription is None:
        return read
    return PreviewLine(**{**_fields(read), "expected_minor": _expected(line, read, subscription, unit_amounts or {})})


def prices_without_amount(invoices: Sequence[Mapping[str, Any]]) -> set[str]:
    """Name the prices of proration lines that do not say what a unit costs."""
    lines = [line for invoice in invoices for line in (invoice.get("lines") or {}).get("data") or []]
    found = {read_line(line).price_id for line in lines if _lacks_amount(line) and read_line(line).is_proration}
    return {price_id for price_id in found if price_id is not None}


def _lacks_amount(line: Mapping[str, Any]) -> bool:
    return (line.get("pricing") or {}).get("unit_amount_decimal") is None


def list_proration_lines(
    invoices: Sequence[Mapping[str, Any]],
    subscription: Mapping[str, Any],
    unit_amounts: Mapping[str, str | None] | None = None,
) -> list[PreviewLine]:
    """Return the proration lines of invoices that belong to a subscription."""
    return [
        read_line(line, subscription, unit_amounts)
        for invoice in invoices
        for line in (invoice.get("lines") or {}).get("data") or []
        if _is_proration_of(line, str(subscription["id"]))
    ]


def _is_proration_of(line: Mapping[str, Any], subscription_id: str) -> bool:
    parent = line.get("parent") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    return bool(details.get("proration")) and details.get("subscription") == subscription_id


def _expected(
    line: Mapping[str, Any],
    read: PreviewLine,
    subscription: Mapping[str, Any],
    unit_amounts: Mapping[str, str | None],
) -> int | None:
    """Compute a proration: price times quantity times the share of the period that the line covers.

    Source: Stripe documentation, “Prorations”: to the second, by the period that is running.
    """
    unit = (line.get("pricing") or {}).get("unit_amount_decimal")
    if unit is None and read.price_id is not None:
        unit = unit_amounts.get(read.price_id)
    period = _period_around(subscription, read)
    if unit is None or period is None:
        return None
    covered = Decimal((read.ends_at - read.starts_at).total_seconds())
    share = covered / Decimal((period[1] - period[0]).total_seconds())
    exact = Decimal(str(unit)) * (read.quantity or 1) * share
    amount = int(abs(exact).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return -amount if read.amount_minor < 0 else amount


def _period_around(subscription: Mapping[str, Any], line: PreviewLine) -> tuple[datetime, datetime] | None:
    for item in list_items(subscription):
        start, end = _instant(item.get("current_period_start")), _instant(item.get("current_period_end"))
        if start and end and start <= line.starts_at < line.ends_at <= end and price_of(item):
            return start, end
    return None


def _fields(line: PreviewLine) -> dict[str, Any]:
    return {name: getattr(line, name) for name in PreviewLine.__slots__}


def _instant(value: object) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None
