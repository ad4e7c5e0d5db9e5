"""Create a subscription at Stripe."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door
from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import reason_option
from billing_worker.cli._written_times import WRITTEN_TIME, instant_of
from billing_worker.cli.billing.subscription._outcome import end_with_outcome

if TYPE_CHECKING:
    from billing_worker.domains.payments.services import find_next_step
    from billing_worker.domains.subscriptions.services import create_subscription
else:
    create_subscription = lazy_module("billing_worker.domains.subscriptions.services.create_subscription")
    find_next_step = lazy_module("billing_worker.domains.payments.services.find_next_step")


@click.command()
@click.option("--customer", "customer_id", required=True, metavar="CUS", help="Who subscribes.")
@click.option("--price", "price_ids", required=True, multiple=True, metavar="PRICE", help="What; may be repeated.")
@click.option("--quantity", type=click.IntRange(0), help="How many of each price.")
@click.option(
    "--payment-method", "payment_method_id", metavar="PM", help="What pays; otherwise the customer's default."
)
@click.option("--trial-days", type=click.IntRange(1, 730), help="Days before the first payment.")
@click.option("--trial-end", type=WRITTEN_TIME, help="When the trial ends: a day in BILLING_TIMEZONE, or a time.")
@click.option("--coupon", "coupon_id", metavar="COUPON", help="A coupon that lowers its invoices.")
@reason_option
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    trial_end: date | None,
    reason: str | None,
    as_json: bool,
    customer_id: str,
    price_ids: tuple[str, ...],
    quantity: int | None,
    payment_method_id: str | None,
    trial_days: int | None,
    coupon_id: str | None,
    **_: bool,
) -> None:
    """Create a subscription at Stripe.

    Exit code 1 when its first payment was declined or waits for the customer: the subscription is then `incomplete`,
    and the output says what is needed.
    """
    settings = load_command_settings(invocation)
    terms = create_subscription.Terms(
        customer_id=customer_id,
        price_ids=price_ids,
        quantity=quantity,
        payment_method_id=payment_method_id,
        trial_days=trial_days,
        trial_end=instant_of(trial_end, settings.billing_timezone),
        coupon_id=coupon_id,
        automatic_tax=settings.stripe_tax_calculation == "automatic",
    )
    question = f"Subscribe {customer_id} to {', '.join(price_ids)}?"
    with open_door(invocation, context, question=question, reason=reason) as door:
        made = create_subscription.create_subscription(door, terms)
        step = None if made.is_planned else find_next_step.find_next_step(door.gateway, made.data)
    end_with_outcome(context, made, step, as_json=as_json)
