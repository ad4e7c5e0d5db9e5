"""Change what a draft says, or take over what Stripe has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.invoice._changing import changing_command

if TYPE_CHECKING:
    from billing_worker.domains.invoices.services import update_invoice
else:
    update_invoice = lazy_module("billing_worker.domains.invoices.services.update_invoice")

command = changing_command(
    lambda door, invoice_id, values: update_invoice.update_invoice(door, invoice_id, values),  # noqa: PLW0108 - loads
    click.option("--description", help="A text on the invoice."),
    click.option("--footer", help="A text at its end."),
    click.option("--days-until-due", type=click.IntRange(0), help="For invoices that are sent."),
    click.option("--default-payment-method", metavar="PM", help="What pays it."),
    click.option("--auto-advance/--no-auto-advance", default=None, help="Whether Stripe finalises and collects it."),
    text="Change what a draft says, or take over what Stripe has.",
    more="Without options nothing is changed at Stripe: the mirror takes over the invoice as it is there.",
    question="Update {}?",
)
