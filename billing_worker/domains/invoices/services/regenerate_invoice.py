"""Make an invoice again: a draft with the same lines that replaces it once it is final."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.kernel.errors import RefusedError
from billing_worker.kernel.keys import object_key


def regenerate_invoice(door: ChangeDoor, invoice_id: str) -> Changed:
    """Create a revision of an open invoice; Stripe voids the original when the revision is finalised.

    Raises: RefusedError for a draft, which only has to be recalculated, and for one that is paid, void or given up;
    what make_change raises.
    Source: Stripe documentation, “Edit a finalized invoice”.
    """
    invoice = door.gateway.retrieve("invoice", invoice_id).data
    status = invoice.get("status")
    if status != "open":
        ways = {
            "draft": f"it is a draft still: `nself billing invoice recalculate {invoice_id}` is enough",
            "paid": "it is paid: give money back with a credit note or a refund at Stripe",
        }
        way = ways.get(
            str(status),
            f"it is {status}: `nself billing invoice create --customer {invoice.get('customer')}` starts anew",
        )
        raise RefusedError(f"invoice {invoice_id} is not made again: {way}")
    body = {"from_invoice": {"action": "revision", "invoice": invoice_id}}
    about = object_key("", "invoice", invoice_id)
    return make_change(door, Change("invoices.create", body, about=about, customer_id=invoice.get("customer")))
