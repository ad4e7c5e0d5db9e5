"""Take a line off a draft invoice."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.import_object import import_object
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.invoices.lines import check_draft, find_line, invoice_item_of, subscription_of
from billing_worker.kernel.errors import RefusedError


def remove_item(door: ChangeDoor, invoice_id: str, line_id: str) -> Changed:
    """Delete the invoice item behind a line, and return the draft as it is then.

    Raises: NotFoundError; RefusedError for an invoice that is no draft, and for a line that a subscription makes; what
    make_change raises.
    """
    invoice = door.gateway.retrieve("invoice", invoice_id).data
    check_draft(invoice, wish="fewer lines")
    item_id = invoice_item_of(find_line(invoice, line_id))
    if item_id is None:
        raise RefusedError(
            f"line {line_id} is made by subscription {subscription_of(invoice)}: change that with "
            "`nself billing subscription update`, or credit the line with "
            f'`nself billing invoice add-item {invoice_id} --description "…" --amount -MINOR`'
        )
    removed = make_change(door, Change("invoiceitems.delete", object_id=item_id, customer_id=invoice.get("customer")))
    return removed if removed.is_planned else import_object(door, "invoice", invoice_id)
