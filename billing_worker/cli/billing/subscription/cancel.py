"""End a subscription at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import reason_option
from billing_worker.cli._output import say
from billing_worker.cli.billing.subscription._outcome import end_with_outcome

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions.services import cancel_subscription
else:
    cancel_subscription = lazy_module("billing_worker.domains.subscriptions.services.cancel_subscription")


@click.command()
@click.argument("subscription_id", metavar="SUBSCRIPTION")
@click.option("--immediate", is_flag=True, help="Now, and not at the end of the paid period.")
@click.option("--invoice-now", is_flag=True, help="With --immediate: bill what was used and not billed yet.")
@click.option("--prorate", is_flag=True, help="With --immediate: credit what was paid and not used.")
@click.option("--undo", is_flag=True, help="Take back a cancellation at the period's end.")
@reason_option
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    subscription_id: str,
    immediate: bool,
    invoice_now: bool,
    prorate: bool,
    undo: bool,
    reason: str | None,
    as_json: bool,
    **_: bool,
) -> None:
    """Cancel a subscription: it ends with its paid period, with --immediate now.

    Access follows the subscription's status: until the period ends the customer keeps it.
    """
    if undo and (immediate or invoice_now or prorate):
        raise click.UsageError("--undo takes back a cancellation that has not happened yet: give it alone")
    when = "Keep" if undo else ("Cancel now:" if immediate else "Cancel at the end of its period:")
    with open_door(invocation, context, question=f"{when} {subscription_id}?", reason=reason) as door:
        changed = cancel_subscription.cancel_subscription(
            door,
            subscription_id,
            immediately=immediate,
            invoice_now=invoice_now,
            prorate=prorate,
            takes_back=undo,
        )
    end_with_outcome(context, changed, None, as_json=as_json)
    if not undo and not immediate and not changed.is_planned:
        say("it goes on until `current_period_end`; --immediate ends it now, --undo keeps it")
