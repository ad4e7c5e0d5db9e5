"""Show a customer with user, subscriptions and payment methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._mirror import show_comparison, show_object
from billing_worker.cli._options import json_option

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from billing_worker.domains.customers.services import describe_customer
else:
    describe_customer = lazy_module("billing_worker.domains.customers.services.describe_customer")


@click.command()
@click.argument("customer")
@click.option("--compare", is_flag=True, help="Ask Stripe too and show where it differs; exit code 1 if it does.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, customer: str, compare: bool, as_json: bool) -> None:
    """Show a customer as the mirror has it, with its user, subscriptions, payment methods and tax ids."""

    def describe(session: Session) -> dict[str, object]:
        return describe_customer.describe_customer(session, customer)

    if compare:
        show_comparison(invocation, "customer", customer, describe, as_json=as_json)
    else:
        show_object(invocation, describe, as_json=as_json)
