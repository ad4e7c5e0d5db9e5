"""Show an invoice's lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.invoice._facts import line_rows

if TYPE_CHECKING:
    from billing_worker.mirror import objects
else:
    objects = lazy_module("billing_worker.mirror.objects")


@click.command()
@click.argument("invoice_id", metavar="INVOICE")
@json_option
@pass_invocation
def command(invocation: Invocation, invoice_id: str, *, as_json: bool) -> None:
    """Show an invoice's lines; amounts in minor units, periods half-open."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = objects.get_object(session, "invoice", invoice_id)
    show_rows(line_rows(found.data), as_json=as_json, empty="it has no lines")
