"""Take a line off a draft invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.invoice._changing import changing_command

if TYPE_CHECKING:
    from billing_worker.domains.invoices.services import remove_item
else:
    remove_item = lazy_module("billing_worker.domains.invoices.services.remove_item")

command = changing_command(
    lambda door, invoice_id, values: remove_item.remove_item(door, invoice_id, values["line_id"]),
    click.option("--line-item", "line_id", required=True, metavar="LINE", help="The line, or its invoice item."),
    text="Take a line off a draft invoice.",
    more="Lines that a subscription makes stay: they are changed with the subscription, or credited.",
    question="Remove a line of {}?",
)
