"""Have Stripe mail an invoice to its customer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.invoice._changing import changing_command

if TYPE_CHECKING:
    from billing_worker.domains.invoices.services import send_invoice
else:
    send_invoice = lazy_module("billing_worker.domains.invoices.services.send_invoice")

command = changing_command(
    lambda door, invoice_id, _: send_invoice.send_invoice(door, invoice_id),
    text="Have Stripe mail an invoice to its customer.",
    more="Only invoices that are paid by a due date are sent; for others the page to pay is named.",
    question="Send {}?",
)
