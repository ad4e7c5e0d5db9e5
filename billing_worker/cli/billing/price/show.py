"""Show a price, or every overage price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._mirror import show_comparison, show_object
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.price._rows import price_facts, price_row

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from billing_worker.domains.catalog import queries
    from billing_worker.mirror import objects
else:
    queries = lazy_module("billing_worker.domains.catalog.queries")
    objects = lazy_module("billing_worker.mirror.objects")

AT_MOST = 1000


@click.command()
@click.argument("price", required=False)
@click.option("--type", "kind", type=click.Choice(["overage"]), help="All prices of this kind instead of one.")
@click.option("--compare", is_flag=True, help="Ask Stripe too and show where it differs; exit code 1 if it does.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, price: str | None, kind: str | None, compare: bool, as_json: bool) -> None:
    """Show a price as the mirror has it; with --type overage all prices for units beyond a quota."""
    if (price is None) == (kind is None):
        raise click.UsageError("name one price, for example price_123, or ask for --type overage")
    if price is None:
        with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
            found = queries.list_prices(session, only_overage=True, limit=AT_MOST)
        empty = "there is no overage price: `nself billing price create --type overage --metric api_calls …` makes one"
        show_rows([price_row(one) for one in found], as_json=as_json, empty=empty)
        return

    def describe(session: Session) -> dict[str, object]:
        return price_facts(objects.get_object(session, "price", price))

    if compare:
        show_comparison(invocation, "price", price, describe, as_json=as_json)
    else:
        show_object(invocation, describe, as_json=as_json)
