"""Apply a tax rate to a draft invoice."""

from __future__ import annotations

from collections.abc import Mapping

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.invoices.lines import check_draft


def add_tax_rate(door: ChangeDoor, invoice_id: str, tax_rate_id: str) -> Changed:
    """Apply one more tax rate to every line of a draft that has no rates of its own.

    Raises: RefusedError for an invoice that is no draft; what make_change raises.
    """
    invoice = door.gateway.retrieve("invoice", invoice_id).data
    check_draft(invoice, wish="tax rates")
    known = [rate["id"] if isinstance(rate, Mapping) else rate for rate in invoice.get("default_tax_rates") or []]
    rates = known if tax_rate_id in known else [*known, tax_rate_id]
    change = Change(
        "invoices.update",
        {"default_tax_rates": rates},
        object_id=invoice_id,
        customer_id=invoice.get("customer"),
    )
    return make_change(door, change)
