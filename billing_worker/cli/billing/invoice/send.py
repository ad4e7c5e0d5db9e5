"""Mail an invoice to its customer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._changes import change_options, open_door, show_change
from billing_worker.cli._container import load_command_settings, open_container
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import confirm, reason_option
from billing_worker.cli._output import say, show_facts
from billing_worker.cli.billing.invoice._facts import invoice_facts

if TYPE_CHECKING:
    from billing_worker.domains.invoices import typesetter
    from billing_worker.domains.invoices.services import read_content, send_invoice
    from billing_worker.domains.notifications import rules
    from billing_worker.domains.notifications.services import mail_invoice
else:
    typesetter = lazy_module("billing_worker.domains.invoices.typesetter")
    read_content, send_invoice = (
        lazy_module(f"billing_worker.domains.invoices.services.{name}") for name in ("read_content", "send_invoice")
    )
    rules = lazy_module("billing_worker.domains.notifications.rules")
    mail_invoice = lazy_module("billing_worker.domains.notifications.services.mail_invoice")


@click.command()
@click.argument("invoice_id", metavar="INVOICE")
@click.option("--by", type=click.Choice(["nself", "stripe"]), help="Who mails it; ours where mail is on.")
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
    by: str | None,
    reason: str | None,
    as_json: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Mail an invoice to its customer: with its PDF by our own mail where MAIL_ENABLED is set, else by Stripe.

    Stripe mails only invoices that are paid by a due date; for others the page to pay is named. Our own mail goes out
    once a day and address at most; `email list --type invoice` tells what became of it.
    """
    settings = load_command_settings(invocation)
    why_not = rules.check_sending(is_enabled=settings.mail_enabled, sender=settings.mail_from)
    if by == "stripe" or (by is None and why_not is not None):
        with open_door(invocation, context, question=f"Send {invoice_id}?", reason=reason) as door:
            changed = send_invoice.send_invoice(door, invoice_id)
        show_change(changed, {"sent_by": "stripe", **invoice_facts(changed.data)}, as_json=as_json)
        return
    if sys.stdin.isatty() and not dry_run:
        confirm(f"Send {invoice_id}?", yes=yes)
    with open_container(invocation) as container:
        setter = typesetter.Typesetter.from_settings(container.settings)
        maker = read_content.PdfMaker(container.unit_of_work, container.stripe, container.settings, setter)
        if dry_run:
            asked = mail_invoice.mail_invoice(maker, invoice_id, is_dry_run=True)
        else:
            with audited(container.unit_of_work, context, reason=reason):
                asked = mail_invoice.mail_invoice(maker, invoice_id)
    show_facts(
        {"sent_by": "nself", "invoice": invoice_id, "queued": asked.is_new, "effect": asked.effect_key}, as_json=as_json
    )
    if not asked.is_new:
        say("it was sent to this address today already: `nself billing email list --type invoice`")
    if why_not is not None:
        say(f"no mail will go out: {why_not}")
