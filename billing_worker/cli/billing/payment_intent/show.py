"""Show a payment intent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_container
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._mirror import show_comparison, show_object
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from billing_worker.domains.payment_methods import rules
    from billing_worker.domains.payment_methods.services import describe_payment_intent
else:
    rules = lazy_module("billing_worker.domains.payment_methods.rules")
    describe_payment_intent = lazy_module("billing_worker.domains.payment_methods.services.describe_payment_intent")


@click.command()
@click.argument("payment_intent")
@click.option("--show-secret", is_flag=True, help="Ask Stripe for the client secret and show it; this is audited.")
@click.option("--compare", is_flag=True, help="Ask Stripe too and show where it differs; exit code 1 if it does.")
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    payment_intent: str,
    show_secret: bool,
    compare: bool,
    as_json: bool,
) -> None:
    """Show a payment: its state, the action it waits for, the last error, the charge."""

    def describe(session: Session) -> dict[str, object]:
        return describe_payment_intent.describe_payment_intent(session, payment_intent)

    if compare:
        show_comparison(invocation, "payment_intent", payment_intent, describe, as_json=as_json)
        return
    if not show_secret:
        show_object(invocation, describe, as_json=as_json)
        return
    with open_container(invocation) as container, audited(container.unit_of_work, context):
        found = container.stripe.retrieve("payment_intent", payment_intent).data
    show_facts(
        rules.list_payment_facts(found) | {"client_secret": found.get("client_secret")},
        as_json=as_json,
    )
    say("whoever has the client secret can see and finish this payment: give it to its customer's browser alone")
