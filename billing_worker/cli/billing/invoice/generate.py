"""Check a draft and make it final."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import ask_reason, change_options, open_door, show_change
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import reason_option
from billing_worker.cli.billing.invoice._audited import audit
from billing_worker.cli.billing.invoice._facts import invoice_facts
from billing_worker.kernel.errors import RefusedError

if TYPE_CHECKING:
    from billing_worker.domains.invoices import rules
    from billing_worker.domains.invoices.services import finalize_invoice, recalculate_invoice
else:
    rules = lazy_module("billing_worker.domains.invoices.rules")
    finalize_invoice, recalculate_invoice = (
        lazy_module(f"billing_worker.domains.invoices.services.{name}")
        for name in ("finalize_invoice", "recalculate_invoice")
    )


@click.command()
@click.argument("invoice_id", metavar="INVOICE")
@click.option("--force", is_flag=True, help="Even when a check does not fit.")
@reason_option
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    invoice_id: str,
    force: bool,
    reason: str | None,
    as_json: bool,
    dry_run: bool,
    **_: bool,
) -> None:
    """Take a draft all the way: read at Stripe, checked line by line, finalised.

    A draft with a line that does not fit is refused; `nself billing invoice audit` names it.
    """
    settings = load_command_settings(invocation)
    why = reason if dry_run else ask_reason(settings, reason)
    with open_door(invocation, context, question=f"Finalise {invoice_id}?", reason=why) as door:
        fresh = recalculate_invoice.recalculate_invoice(door, invoice_id, recalculates=False)
        with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
            findings = audit(session, settings, fresh.data)
        wrong = [one for one in findings if one.verdict is rules.Verdict.DIFFERS]
        if wrong and not force:
            raise RefusedError(
                f"{len(wrong)} checks of {invoice_id} do not fit, the first: {wrong[0].check} of {wrong[0].line}, "
                f"expected {wrong[0].expected}, found {wrong[0].found}; `nself billing invoice audit {invoice_id}` "
                "shows all, --force finalises it as it is"
            )
        made = finalize_invoice.finalize_invoice(door, invoice_id)
    show_change(made, invoice_facts(made.data), as_json=as_json)
