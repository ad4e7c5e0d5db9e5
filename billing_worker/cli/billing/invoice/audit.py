"""Hold an invoice against its subscription, its payments and the usage behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli.billing.invoice._audited import audit, show_audit

if TYPE_CHECKING:
    from billing_worker.mirror import objects
else:
    objects = lazy_module("billing_worker.mirror.objects")


@click.command()
@click.argument("invoice_id", metavar="INVOICE")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, invoice_id: str, *, as_json: bool) -> None:
    """Check every line and total of an invoice: arithmetic, subscription, prorations, payments, usage, duplicates.

    Exit code 1 when something does not fit; the row says what was expected, what was found, and why it may be.
    """
    settings = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = objects.get_object(session, "invoice", invoice_id)
        findings = audit(session, settings, found.data)
    if show_audit(found.data, findings, as_json=as_json):
        context.exit(EXIT_DIFFERENCES)
