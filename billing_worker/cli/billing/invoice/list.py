"""List invoices."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.invoices import queries
else:
    queries = lazy_module("billing_worker.domains.invoices.queries")


@click.command()
@click.option(
    "--status", type=click.Choice(("draft", "open", "paid", "uncollectible", "void")), help="Only those with it."
)
@click.option("--customer", "customer_id", metavar="CUS", help="Only this customer's.")
@click.option("--user", help="Only this user's.")
@limit_option
@json_option
@pass_invocation
def command(
    invocation: Invocation, *, status: str | None, customer_id: str | None, user: str | None, limit: int, as_json: bool
) -> None:
    """List mirrored invoices, newest first; amounts in minor units."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        customers = [customer_id] if customer_id else None
        if user is not None:
            customers = queries.list_customers_of(session, user)
        found = queries.list_invoices(session, status=status, customer_ids=customers, limit=limit)
    show_rows([asdict(one) for one in found], as_json=as_json, empty="no such invoice is mirrored")
