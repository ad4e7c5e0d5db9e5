"""Show what a user may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli.billing.access._rows import access_facts

if TYPE_CHECKING:
    from billing_worker.domains.customers.queries import links
    from billing_worker.domains.subscriptions import queries
else:
    links = lazy_module("billing_worker.domains.customers.queries.links")
    queries = lazy_module("billing_worker.domains.subscriptions.queries")


@click.command()
@click.option("--user", required=True, metavar="ID", help="The user of your application.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, user: str, as_json: bool) -> None:
    """Show what a user may use, by which subscription, and whether an operator took it away."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        row = queries.get_access(session, links.get_customer_of(session, user))
    show_facts(access_facts(user, row), as_json=as_json)
