"""Collect an open invoice now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import ask_reason, change_options, open_door, show_change
from billing_worker.cli._container import load_command_settings
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import reason_option
from billing_worker.cli._output import say, show_facts
from billing_worker.cli.billing.invoice._facts import invoice_facts

if TYPE_CHECKING:
    from billing_worker.changes import change
    from billing_worker.domains.payments.services import find_next_step, pay_invoice
else:
    change = lazy_module("billing_worker.changes.change")
    find_next_step, pay_invoice = (
        lazy_module(f"billing_worker.domains.payments.services.{name}") for name in ("find_next_step", "pay_invoice")
    )


@click.command()
@click.argument("invoice_id", metavar="INVOICE")
@click.option("--retry", is_flag=True, help="After a failed attempt; without it, an invoice that was tried is refused.")
@click.option("--payment-method", "payment_method_id", metavar="PM", help="Pay with this one.")
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
    retry: bool,
    payment_method_id: str | None,
    reason: str | None,
    as_json: bool,
    dry_run: bool,
    **_: bool,
) -> None:
    """Collect an open invoice now, once.

    Exit code 1 when the payment was declined: the output says what the code means for the next attempt.
    """
    why = reason if dry_run else ask_reason(load_command_settings(invocation), reason)
    try:
        with open_door(invocation, context, question=f"Pay {invoice_id} now?", reason=why) as door:
            gateway = door.gateway
            paid = pay_invoice.pay_invoice(
                door, invoice_id, payment_method_id=payment_method_id, is_first=not retry and payment_method_id is None
            )
    except change.ChangeDeclined as declined:
        step = find_next_step.find_invoice_step(gateway, invoice_id)
        facts = {"invoice": invoice_id, "status": "open", "decline_code": declined.decline_code, "said": str(declined)}
        needs = {} if step is None else {"needs": step.kind, "pay_url": step.url}
        show_facts({**facts, **needs}, as_json=as_json)
        say(str(declined) if step is None else step.explanation)
        context.exit(EXIT_DIFFERENCES)
    show_change(paid, invoice_facts(paid.data), as_json=as_json)
