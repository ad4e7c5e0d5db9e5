"""List prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.price._rows import price_row

if TYPE_CHECKING:
    from billing_worker.domains.catalog import queries
else:
    queries = lazy_module("billing_worker.domains.catalog.queries")


@click.command()
@click.option("--product", metavar="ID", help="Only of this product, e.g. prod_123.")
@click.option("--active", is_flag=True, help="Without archived ones.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, product: str | None, active: bool, limit: int, as_json: bool) -> None:
    """List mirrored prices, the last changed first."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.list_prices(session, product_id=product, only_active=active, limit=limit)
    show_rows([price_row(one) for one in found], as_json=as_json, empty="no price is mirrored")
