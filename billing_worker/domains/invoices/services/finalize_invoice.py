"""Make a draft invoice final."""

from __future__ import annotations

import time

import structlog

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.invoices.lines import check_draft, list_lines
from billing_worker.kernel.errors import RefusedError

_log = structlog.get_logger(__name__)


def finalize_invoice(door: ChangeDoor, invoice_id: str, *, collects: bool = False) -> Changed:
    """Finalise a draft: it gets its number and cannot be changed any more.

    Shape: with `collects` Stripe goes on by itself and charges or sends it.
    Raises: RefusedError for an invoice that is no draft, or has no lines; what make_change raises.
    """
    started = time.perf_counter()
    invoice = door.gateway.retrieve("invoice", invoice_id).data
    check_draft(invoice, wish="finalisation")
    if not list_lines(invoice):
        raise RefusedError(
            f"invoice {invoice_id} has no lines: `nself billing invoice add-item {invoice_id} --price PRICE` adds one"
        )
    change = Change(
        "invoices.finalize",
        {"auto_advance": collects},
        object_id=invoice_id,
        customer_id=invoice.get("customer"),
    )
    made = make_change(door, change)
    if not made.is_planned:
        _log.info(
            "invoice_generation",
            invoice_id=invoice_id,
            status=made.data.get("status"),
            total_minor=made.data.get("total"),
            currency=made.data.get("currency"),
            duration_ms=round((time.perf_counter() - started) * 1000),
        )
    return made
