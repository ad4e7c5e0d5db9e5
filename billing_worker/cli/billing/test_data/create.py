"""Make customers with subscriptions and invoices in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts
from billing_worker.cli._seeds import note_change, open_test_stripe

if TYPE_CHECKING:
    from billing_worker.seeds.services import create_test_data
else:
    create_test_data = lazy_module("billing_worker.seeds.services.create_test_data")

NUMBER = click.IntRange(0, 10_000)


@click.command()
@click.option("--customers", type=NUMBER, default=10, show_default=True, help="New customers, each with a card.")
@click.option("--subscriptions", type=NUMBER, default=0, show_default=True, help="Spread over them.")
@click.option("--invoices", type=NUMBER, default=0, show_default=True, help="Paid ones, spread over them.")
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    customers: int,
    subscriptions: int,
    invoices: int,
    as_json: bool,
) -> None:
    """Make new customers with subscriptions and paid invoices; `nself billing seed clear --confirm` removes them."""
    stripe = open_test_stripe(invocation)
    note_change(invocation, context)
    made = create_test_data.create_test_data(
        stripe.client, customers=customers, subscriptions=subscriptions, invoices=invoices, tell=say
    )
    show_facts(dict(made), as_json=as_json)
