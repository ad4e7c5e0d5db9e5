"""Have Stripe mail an invoice to its customer."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.kernel.errors import RefusedError


def send_invoice(door: ChangeDoor, invoice_id: str) -> Changed:
    """Send an invoice that is to be paid by its due date; a draft is finalised on the way.

    Raises: RefusedError for one that is charged automatically; what make_change raises.
    """
    invoice = door.gateway.retrieve("invoice", invoice_id).data
    if invoice.get("collection_method") != "send_invoice":
        raise RefusedError(
            f"invoice {invoice_id} is charged automatically, and Stripe sends only invoices with a due date. The page "
            f"where the customer can see and pay it: {invoice.get('hosted_invoice_url') or 'none before it is final'}"
        )
    return make_change(door, Change("invoices.send", object_id=invoice_id, customer_id=invoice.get("customer")))
