"""What commands show of an invoice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import Row
from billing_worker.cli.billing.subscription._facts import instant

if TYPE_CHECKING:
    from billing_worker.domains.invoices import lines
    from billing_worker.domains.subscriptions import previews
else:
    lines = lazy_module("billing_worker.domains.invoices.lines")
    previews = lazy_module("billing_worker.domains.subscriptions.previews")

VERBOSE = (
    *("description", "footer", "auto_advance", "account_tax_ids", "default_payment_method", "default_tax_rates"),
    *("discounts", "starting_balance", "ending_balance", "statement_descriptor", "from_invoice", "latest_revision"),
    *("last_finalization_error", "metadata", "status_transitions", "threshold_reason", "automatic_tax"),
)


def invoice_facts(invoice: Mapping[str, Any], *, verbose: bool = False) -> dict[str, object]:
    """Return the facts of an invoice; amounts in minor units."""
    facts: dict[str, object] = {
        "invoice": invoice.get("id"),
        "number": invoice.get("number"),
        "status": invoice.get("status"),
        "customer": invoice.get("customer"),
        "subscription": lines.subscription_of(invoice),
        "billing_reason": invoice.get("billing_reason"),
        "currency": invoice.get("currency"),
        "subtotal_minor": invoice.get("subtotal"),
        "tax_minor": sum(int(tax.get("amount") or 0) for tax in invoice.get("total_taxes") or []),
        "total_minor": invoice.get("total"),
        "amount_due_minor": invoice.get("amount_due"),
        "amount_paid_minor": invoice.get("amount_paid"),
        "amount_remaining_minor": invoice.get("amount_remaining"),
        "collection_method": invoice.get("collection_method"),
        "attempt_count": invoice.get("attempt_count"),
        "next_payment_attempt": instant(invoice.get("next_payment_attempt")),
        "due_date": instant(invoice.get("due_date")),
        "created": instant(invoice.get("created")),
        "lines": len(lines.list_lines(invoice)),
        "hosted_invoice_url": invoice.get("hosted_invoice_url"),
    }
    if verbose:
        facts |= {name: invoice.get(name) for name in VERBOSE}
    return facts


def line_rows(invoice: Mapping[str, Any]) -> list[Row]:
    """Return an invoice's lines as rows; amounts in minor units."""
    rows: list[Row] = []
    for line in lines.list_lines(invoice):
        read = previews.read_line(line)
        rows.append(
            {
                "line": line.get("id"),
                "description": read.description,
                "price": read.price_id,
                "quantity": read.quantity,
                "amount_minor": read.amount_minor,
                "proration": read.is_proration,
                "from": read.starts_at,
                "to": read.ends_at,
                "invoice_item": lines.invoice_item_of(line),
            }
        )
    return rows
