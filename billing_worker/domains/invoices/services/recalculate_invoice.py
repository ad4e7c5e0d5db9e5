"""Read an invoice at Stripe anew, after having it computed again if it is a draft."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.import_object import import_object
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.invoices.lines import check_draft

BY_STRIPE = "automatic"


def recalculate_invoice(door: ChangeDoor, invoice_id: str, *, recalculates: bool = True, tax: str = "none") -> Changed:
    """Return the invoice as Stripe has it now, in the mirror as well.

    Shape: `tax` is STRIPE_TAX_CALCULATION: `automatic` has Stripe compute tax from the customer's address of now;
    otherwise rates that are set on the invoice count, which Stripe applies at every change.
    Raises: RefusedError for a recalculation of what is final; what make_change raises.
    """
    if recalculates:
        invoice = door.gateway.retrieve("invoice", invoice_id).data
        check_draft(invoice, wish="another calculation")
        if tax == BY_STRIPE:
            body = {"automatic_tax": {"enabled": True}}
            change = Change("invoices.update", body, object_id=invoice_id, customer_id=invoice.get("customer"))
            make_change(door, change)
    return import_object(door, "invoice", invoice_id)
