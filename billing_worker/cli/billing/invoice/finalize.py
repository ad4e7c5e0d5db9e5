"""Finalise a draft invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.invoice._changing import changing_command

if TYPE_CHECKING:
    from billing_worker.domains.invoices.services import finalize_invoice
else:
    finalize_invoice = lazy_module("billing_worker.domains.invoices.services.finalize_invoice")

command = changing_command(
    lambda door, invoice_id, values: finalize_invoice.finalize_invoice(door, invoice_id, collects=values["collects"]),
    click.option("--collect", "collects", is_flag=True, help="Let Stripe go on and charge or send it by itself."),
    text="Finalise a draft invoice.",
    more="It gets its number; a mistake found later needs a revision (regenerate) or a credit note.",
    question="Finalise {}? It cannot be changed afterwards.",
    moves_money=True,
)
