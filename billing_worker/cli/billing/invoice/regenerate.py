"""Make a draft that replaces an open invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.invoice._changing import changing_command

if TYPE_CHECKING:
    from billing_worker.domains.invoices.services import regenerate_invoice
else:
    regenerate_invoice = lazy_module("billing_worker.domains.invoices.services.regenerate_invoice")

command = changing_command(
    lambda door, invoice_id, _: regenerate_invoice.regenerate_invoice(door, invoice_id),
    text="Make a draft that replaces an open invoice.",
    more="The draft has the same lines to correct; Stripe voids the original when the draft is finalised.",
    question="Make {} again?",
)
