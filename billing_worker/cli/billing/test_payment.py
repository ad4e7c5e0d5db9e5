"""Make a payment with a test card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts
from billing_worker.cli._seeds import note_change, open_test_stripe

if TYPE_CHECKING:
    from billing_worker.seeds.services import try_payment
else:
    try_payment = lazy_module("billing_worker.seeds.services.try_payment")


@click.command()
@click.option("--card", "number", default="4242424242424242", show_default=True, help="One of Stripe's test cards.")
@click.option("--amount", type=click.IntRange(1), default=1000, show_default=True, help="In minor units, e.g. cents.")
@click.option("--currency", default="usd", show_default=True)
@click.option("--exp", "expiry", metavar="MM/YY", help="When the card expires, e.g. 12/34.")
@click.option("--cvc", metavar="DIGITS", help="The card's security code, e.g. 123.")
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    number: str,
    amount: int,
    currency: str,
    expiry: str | None,
    cvc: str | None,
    as_json: bool,
) -> None:
    """Make a payment with a test card; exit code 1 when the outcome is not the one that the card stands for."""
    stripe = open_test_stripe(invocation)
    note_change(invocation, context)
    trial = try_payment.try_payment(
        stripe.settings,
        stripe.client,
        number=number,
        amount_minor=amount,
        currency=currency,
        expiry=expiry,
        cvc=cvc,
    )
    facts = {
        "card": trial.card,
        "amount_minor": trial.amount_minor,
        "currency": trial.currency,
        "outcome": trial.outcome,
        "expected": trial.expected,
        "payment_intent": trial.payment_intent,
    }
    show_facts(facts, as_json=as_json)
    if trial.message:
        say(trial.message)
    if not trial.is_as_expected:
        context.exit(EXIT_DIFFERENCES)
