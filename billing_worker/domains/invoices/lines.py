"""Reading an invoice as Stripe gives it: its lines, taxes and totals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from billing_worker.domains.overage.rules import OVERAGE_MARK
from billing_worker.kernel.errors import NotFoundError, RefusedError


def list_lines(invoice: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the lines, as far as they are embedded."""
    return list((invoice.get("lines") or {}).get("data") or [])


def invoice_item_of(line: Mapping[str, Any]) -> str | None:
    """Return the invoice item that a line was made from, None for a subscription's own line."""
    details = (line.get("parent") or {}).get("invoice_item_details") or {}
    return details.get("invoice_item")


def subscription_of(invoice: Mapping[str, Any]) -> str | None:
    """Return the subscription that an invoice belongs to."""
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    found = details.get("subscription")
    return found.get("id") if isinstance(found, Mapping) else found


def find_line(invoice: Mapping[str, Any], line_id: str) -> Mapping[str, Any]:
    """Return one line; its invoice item's id is taken as well.

    Raises: NotFoundError that lists the lines there are.
    """
    for line in list_lines(invoice):
        if line_id in {line.get("id"), invoice_item_of(line)}:
            return line
    known = ", ".join(f"{line.get('id')} ({line.get('description') or 'no text'})" for line in list_lines(invoice))
    raise NotFoundError(f"invoice {invoice['id']} has no line {line_id}; it has {known or 'no lines'}")


def check_draft(invoice: Mapping[str, Any], *, wish: str) -> None:
    """Refuse to change the content of what is final.

    Raises: RefusedError with the way that is left.
    """
    status, invoice_id = invoice.get("status"), invoice.get("id")
    if status == "draft":
        return
    ways = {
        "open": f"`nself billing invoice regenerate {invoice_id}` makes a corrected draft that replaces it",
        "paid": "give money back with a credit note or a refund at Stripe, and bill the difference anew",
    }
    way = ways.get(str(status), "make a new invoice: `nself billing invoice create --customer CUS`")
    raise RefusedError(f"invoice {invoice_id} is {status}, and only drafts take {wish}: {way}")


def is_overage(line: Mapping[str, Any]) -> bool:
    """Say whether a line bills overage of a quota."""
    return OVERAGE_MARK in (line.get("metadata") or {})


def tax_rows(invoice: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    """Yield the taxes, line by line and then in total, as rows of one shape."""
    for line in list_lines(invoice):
        for tax in line.get("taxes") or []:
            yield _tax_row(tax, str(line.get("id")))
    for tax in invoice.get("total_taxes") or []:
        yield _tax_row(tax, "total")


def _tax_row(tax: Mapping[str, Any], where: str) -> Mapping[str, object]:
    rate = (tax.get("tax_rate_details") or {}).get("tax_rate")
    return {
        "line": where,
        "amount_minor": tax.get("amount"),
        "taxable_minor": tax.get("taxable_amount"),
        "tax_rate": rate,
        "behavior": tax.get("tax_behavior"),
        "reason": tax.get("taxability_reason"),
    }
