"""Change a subscription at Stripe."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door
from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import reason_option
from billing_worker.cli._written_times import WRITTEN_TIME
from billing_worker.cli.billing.subscription._amendment import PRORATION, amend
from billing_worker.cli.billing.subscription._outcome import end_with_outcome

if TYPE_CHECKING:
    from billing_worker.domains.payments.services import find_next_step
    from billing_worker.domains.subscriptions.services import update_subscription
else:
    update_subscription = lazy_module("billing_worker.domains.subscriptions.services.update_subscription")
    find_next_step = lazy_module("billing_worker.domains.payments.services.find_next_step")


@click.command()
@click.argument("subscription_id", metavar="SUBSCRIPTION")
@click.option("--price", "price_id", metavar="PRICE", help="The new price.")
@click.option("--quantity", type=click.IntRange(0), help="The new quantity.")
@click.option("--item", "item_id", metavar="SI", help="Which item, where there are several.")
@click.option("--payment-method", "payment_method_id", metavar="PM", help="What pays from now on.")
@click.option("--trial-end", type=WRITTEN_TIME, help="When the trial ends: a day in BILLING_TIMEZONE, or a time.")
@click.option("--proration-date", type=WRITTEN_TIME, help="Prorate as if changed then; as given to preview-change.")
@click.option("--proration-behavior", type=click.Choice(PRORATION), help="Instead of STRIPE_PRORATION_BEHAVIOR.")
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
    trial_end: date | None,
    proration_date: date | None,
    reason: str | None,
    as_json: bool,
    price_id: str | None,
    quantity: int | None,
    item_id: str | None,
    payment_method_id: str | None,
    proration_behavior: str | None,
    **_: bool,
) -> None:
    """Change price, quantity, payment method or trial of a subscription at Stripe.

    `nself billing subscription preview-change` with the same values and the same --proration-date shows the amounts.
    """
    amendment = amend(
        load_command_settings(invocation),
        trial_end=trial_end,
        proration_date=proration_date,
        price_id=price_id,
        quantity=quantity,
        item_id=item_id,
        payment_method_id=payment_method_id,
        proration_behavior=proration_behavior,
    )
    with open_door(invocation, context, question=f"Change {subscription_id}?", reason=reason) as door:
        changed = update_subscription.update_subscription(door, subscription_id, amendment)
        step = None if changed.is_planned else find_next_step.find_next_step(door.gateway, changed.data)
    end_with_outcome(context, changed, step, as_json=as_json)
