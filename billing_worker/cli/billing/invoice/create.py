"""Create a draft invoice at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door, show_change
from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import reason_option
from billing_worker.cli.billing.invoice._facts import invoice_facts

if TYPE_CHECKING:
    from billing_worker.domains.invoices.services import create_invoice
else:
    create_invoice = lazy_module("billing_worker.domains.invoices.services.create_invoice")


@click.command()
@click.option("--customer", "customer_id", required=True, metavar="CUS", help="Who is billed.")
@click.option("--subscription", "subscription_id", metavar="SUB", help="Which subscription it belongs to.")
@click.option("--description", help="A text on the invoice.")
@click.option(
    "--days-until-due", type=click.IntRange(0), help="Send it, to be paid in so many days, and do not charge."
)
@click.option("--empty", is_flag=True, help="Leave items that wait for the next invoice where they are.")
@reason_option
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    customer_id: str,
    subscription_id: str | None,
    description: str | None,
    days_until_due: int | None,
    empty: bool,
    reason: str | None,
    as_json: bool,
    **_: bool,
) -> None:
    """Create a draft with the customer's waiting items; nothing is collected before it is finalised."""
    settings = load_command_settings(invocation)
    with open_door(invocation, context, question=f"Create an invoice for {customer_id}?", reason=reason) as door:
        made = create_invoice.create_invoice(
            door,
            customer_id,
            subscription_id=subscription_id,
            description=description,
            days_until_due=days_until_due,
            takes_pending_items=not empty,
            automatic_tax=settings.stripe_tax_calculation == "automatic",
        )
    show_change(made, invoice_facts(made.data), as_json=as_json)
