"""Add a line to a draft invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.invoice._changing import changing_command

if TYPE_CHECKING:
    from billing_worker.domains.invoices.services import add_item
else:
    add_item = lazy_module("billing_worker.domains.invoices.services.add_item")

command = changing_command(
    lambda door, invoice_id, values: add_item.add_item(door, invoice_id, **values),
    click.option("--price", "price_id", metavar="PRICE", help="What is billed; a recurring price is billed once."),
    click.option("--quantity", type=click.IntRange(1), help="How many; 1 unless given."),
    click.option("--amount", "amount_minor", type=int, metavar="MINOR", help="Instead of a price; negative: a credit."),
    click.option("--description", help="What the customer reads."),
    text="Add a line to a draft invoice.",
    more="A price and a quantity, or an amount in the smallest unit of the currency with a description.",
    question="Add a line to {}?",
)
