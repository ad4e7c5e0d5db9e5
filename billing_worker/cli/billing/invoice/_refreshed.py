"""Commands that read an invoice at Stripe anew and audit what came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.invoice._audited import audit, show_audit

if TYPE_CHECKING:
    from billing_worker.domains.invoices.services import recalculate_invoice
else:
    recalculate_invoice = lazy_module("billing_worker.domains.invoices.services.recalculate_invoice")


def refreshing_command(text: str, more: str, *, recalculates: bool) -> click.Command:
    """Make the command; `recalculates` has Stripe compute tax and totals of a draft again first."""

    @click.command(help=f"{text}\n\n{more}")
    @click.argument("invoice_id", metavar="INVOICE")
    @change_options
    @click.pass_context
    @pass_invocation
    def command(
        invocation: Invocation, context: click.Context, /, *, invoice_id: str, as_json: bool, **_: bool
    ) -> None:
        settings = load_command_settings(invocation)
        with open_door(invocation, context) as door:
            fresh = recalculate_invoice.recalculate_invoice(
                door, invoice_id, recalculates=recalculates, tax=settings.stripe_tax_calculation
            )
        with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
            findings = audit(session, settings, fresh.data)
        if show_audit(fresh.data, findings, as_json=as_json, with_lines=True):
            context.exit(EXIT_DIFFERENCES)

    return command
