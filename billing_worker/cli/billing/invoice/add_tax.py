"""Apply a tax rate to a draft invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.invoice._changing import changing_command

if TYPE_CHECKING:
    from billing_worker.domains.invoices.services import add_tax_rate
else:
    add_tax_rate = lazy_module("billing_worker.domains.invoices.services.add_tax_rate")

command = changing_command(
    lambda door, invoice_id, values: add_tax_rate.add_tax_rate(door, invoice_id, values["tax_rate_id"]),
    click.option("--tax-rate", "tax_rate_id", required=True, metavar="TXR", help="Which one; see `tax list-rates`."),
    text="Apply a tax rate to a draft invoice.",
    more="It counts for every line without rates of its own, beside the rates that the draft has.",
    question="Apply a tax rate to {}?",
)
