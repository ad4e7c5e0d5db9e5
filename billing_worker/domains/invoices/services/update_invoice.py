"""Change what an invoice says, or take over what Stripe has of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.import_object import import_object
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.invoices.lines import check_draft


def update_invoice(door: ChangeDoor, invoice_id: str, fields: Mapping[str, Any]) -> Changed:
    """Change fields of a draft; with none, read the invoice at Stripe and bring the mirror up to date.

    Raises: RefusedError for an invoice that is no draft; what make_change raises.
    """
    wanted = {name: value for name, value in fields.items() if value is not None}
    if not wanted:
        return import_object(door, "invoice", invoice_id)
    invoice = door.gateway.retrieve("invoice", invoice_id).data
    check_draft(invoice, wish="other terms")
    change = Change("invoices.update", wanted, object_id=invoice_id, customer_id=invoice.get("customer"))
    return make_change(door, change)
