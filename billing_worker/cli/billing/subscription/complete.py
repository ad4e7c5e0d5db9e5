"""Complete a subscription whose first payment is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import ask_reason, change_options, open_door
from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import reason_option
from billing_worker.cli.billing.subscription._outcome import end_with_outcome

if TYPE_CHECKING:
    from billing_worker.domains.payments.services import complete_subscription
else:
    complete_subscription = lazy_module("billing_worker.domains.payments.services.complete_subscription")


@click.command()
@click.argument("subscription_id", metavar="SUBSCRIPTION")
@click.option("--force", is_flag=True, help="Try the payment now; without it, only say what is missing.")
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
    subscription_id: str,
    force: bool,
    payment_method_id: str | None,
    reason: str | None,
    as_json: bool,
    **_: bool,
) -> None:
    """Say what an `incomplete` subscription needs, and with --force try its first payment again.

    Nothing can replace the customer: where the bank wants them to authenticate (3-D Secure), the output names the page.
    """
    why = ask_reason(load_command_settings(invocation), reason) if force else reason
    with open_door(invocation, context, question=f"Try to complete {subscription_id}?", reason=why) as door:
        changed, step = complete_subscription.complete_subscription(
            door, subscription_id, pays=force, payment_method_id=payment_method_id
        )
    end_with_outcome(context, changed, step, as_json=as_json)
