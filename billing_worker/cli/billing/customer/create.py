"""Create a customer at Stripe, or take one over, for a user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from billing_worker.cli._changes import change_options, open_door, show_change
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.customer._fields import customer_fields, read_fields

if TYPE_CHECKING:
    from billing_worker.audit import rules
    from billing_worker.domains.customers.services import adopt_customer, create_customer
else:
    rules = lazy_module("billing_worker.audit.rules")
    adopt_customer, create_customer = (
        lazy_module(f"billing_worker.domains.customers.services.{name}")
        for name in ("adopt_customer", "create_customer")
    )


@click.command()
@click.option("--user", metavar="ID", help="The user of your application that the customer is.")
@click.option("--stripe-customer", metavar="ID", help="Take this customer of Stripe over instead, e.g. cus_123.")
@customer_fields
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    user: str | None,
    stripe_customer: str | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - whatever customer_fields adds
) -> None:
    """Create a customer at Stripe for a user; with --stripe-customer take over one that is there already.

    A user has one customer: a second creation for the same user is refused, also while the first is under way.
    """
    fields = read_fields(options)
    actor = rules.name_actor()
    if stripe_customer is not None:
        if user is None or fields:
            raise click.UsageError(
                "--stripe-customer goes with --user alone; fields are changed by `nself billing customer update`",
                context,
            )
        with open_door(invocation, context, question=f"Take {stripe_customer} over for user {user}?") as door:
            made = adopt_customer.adopt_customer(door, customer_id=stripe_customer, user_id=user, linked_by=actor)
    else:
        if user is None and not fields:
            raise click.UsageError(
                "say who it is, for example: nself billing customer create --user user123 --email user@example.com",
                context,
            )
        with open_door(invocation, context, question=f"Create a customer for {user or 'nobody yet'}?") as door:
            made = create_customer.create_customer(door, fields=fields, user_id=user, created_by=actor)
    show_change(made, {"customer": made.stripe_id, "user": user, "email": made.data.get("email")}, as_json=as_json)
