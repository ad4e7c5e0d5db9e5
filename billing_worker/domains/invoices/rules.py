"""Checks of an invoice against itself, its subscription, its payments and the usage behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from billing_worker.domains.invoices.lines import list_lines, subscription_of
from billing_worker.domains.subscriptions.items import list_items, price_of
from billing_worker.domains.subscriptions.previews import PreviewLine, read_line


class Verdict(StrEnum):
    """What a check came to."""

    FITS = "fits"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one line or of the whole; amounts in minor units."""

    check: str
    line: str
    verdict: Verdict
    expected: object
    found: object
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an invoice is held against.

    Shape: `usage` maps lines to what the rollups say was used in the line's period; lines whose metric we do not meter
    are not in it. `unit_amounts` are those of the prices of prorations, as far as they are mirrored.
    """

    subscription: Mapping[str, Any] | None
    paid_minor: int | None
    usage: Mapping[str, int]
    unit_amounts: Mapping[str, str | None]
    minimum_charge_minor: int


def audit_invoice(invoice: Mapping[str, Any], evidence: Evidence) -> list[Finding]:
    """Return every check with its verdict, those of the whole first."""
    return [*_check_totals(invoice), *_check_payments(invoice, evidence), *_check_lines(invoice, evidence)]


def _check_totals(invoice: Mapping[str, Any]) -> Iterator[Finding]:
    lines = list_lines(invoice)
    if (invoice.get("lines") or {}).get("has_more"):
        yield Finding("lines_complete", "-", Verdict.UNKNOWN, "all lines", len(lines), "only the first lines are here")
        return
    subtotal = sum(int(line.get("amount") or 0) for line in lines)
    yield _compare("subtotal", "-", subtotal, invoice.get("subtotal"), "the lines' amounts added")
    discounts = sum(int(entry.get("amount") or 0) for entry in invoice.get("total_discount_amounts") or [])
    taxes = sum(
        int(tax.get("amount") or 0)
        for tax in invoice.get("total_taxes") or []
        if tax.get("tax_behavior") == "exclusive"
    )
    yield _compare(
        "total",
        "-",
        int(invoice.get("subtotal") or 0) - discounts + taxes,
        invoice.get("total"),
        "subtotal less discounts, plus taxes that are not included",
    )


def _check_payments(invoice: Mapping[str, Any], evidence: Evidence) -> Iterator[Finding]:
    due, paid = int(invoice.get("amount_due") or 0), int(invoice.get("amount_paid") or 0)
    yield _compare("amount_remaining", "-", due - paid, invoice.get("amount_remaining"), "due less paid")
    if evidence.paid_minor is not None:
        yield _compare("payments", "-", evidence.paid_minor, paid, "the mirrored invoice payments added")
    total = int(invoice.get("total") or 0)
    if 0 < total < evidence.minimum_charge_minor:
        yield Finding(
            "minimum_charge",
            "-",
            Verdict.DIFFERS,
            f"0 or {evidence.minimum_charge_minor} at least",
            total,
            "too little to be charged: Stripe carries it over to the customer's balance",
        )


def _check_lines(invoice: Mapping[str, Any], evidence: Evidence) -> Iterator[Finding]:
    subscription = evidence.subscription
    if subscription is None and (wanted := subscription_of(invoice)):
        yield Finding("subscription", "-", Verdict.UNKNOWN, wanted, None, "it is not in the mirror")
    lines = [
        (str(line.get("id")), line, read_line(line, subscription, evidence.unit_amounts))
        for line in list_lines(invoice)
    ]
    seen = Counter(_identity(read) for _, _, read in lines if not read.is_proration)
    for line_id, line, read in lines:
        if seen[_identity(read)] > 1 and not read.is_proration:
            yield Finding(
                "duplicate", line_id, Verdict.DIFFERS, 1, seen[_identity(read)], "the same line stands there again"
            )
        yield from _check_arithmetic(line_id, line, read)
        if subscription is not None and _is_of_subscription(line):
            yield from _check_against_subscription(line_id, read, subscription)
        if line_id in evidence.usage:
            yield _compare("usage", line_id, evidence.usage[line_id], read.quantity, "what the rollups say was used")


def _check_arithmetic(line_id: str, line: Mapping[str, Any], read: PreviewLine) -> Iterator[Finding]:
    if read.is_proration:
        if read.expected_minor is not None:
            verdict = Verdict.DIFFERS if read.differs else Verdict.FITS
            why = "price times quantity times the seconds left"
            yield Finding("proration", line_id, verdict, read.expected_minor, read.amount_minor, why)
        return
    unit = (line.get("pricing") or {}).get("unit_amount_decimal")
    if unit is None or read.quantity is None:
        return
    amount = (Decimal(str(unit)) * read.quantity).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    yield _compare("amount", line_id, int(amount), read.amount_minor, "unit amount times quantity")


def _check_against_subscription(line_id: str, read: PreviewLine, subscription: Mapping[str, Any]) -> Iterator[Finding]:
    if read.is_proration:
        return
    items = {price_of(item): item for item in list_items(subscription)}
    item = items.get(read.price_id)
    if item is None:
        yield Finding(
            "price",
            line_id,
            Verdict.DIFFERS,
            ", ".join(sorted(str(price) for price in items)),
            read.price_id,
            "the subscription does not have this price now: it was changed since, or the line is wrong",
        )
        return
    if item.get("quantity") is not None:
        yield _compare("quantity", line_id, item["quantity"], read.quantity, "the subscription's quantity now")


def _is_of_subscription(line: Mapping[str, Any]) -> bool:
    return (line.get("parent") or {}).get("type") == "subscription_item_details"


def _identity(read: PreviewLine) -> tuple[object, ...]:
    return (read.price_id, read.description, read.amount_minor, read.starts_at, read.ends_at)


def _compare(check: str, line: str, expected: object, found: object, explanation: str) -> Finding:
    verdict = Verdict.FITS if expected == found else Verdict.DIFFERS
    return Finding(check, line, verdict, expected, found, explanation)
