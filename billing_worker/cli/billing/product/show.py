"""Show a product with its prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._mirror import show_comparison, show_object
from billing_worker.cli._options import json_option

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from billing_worker.domains.catalog import queries
    from billing_worker.mirror import objects
else:
    queries = lazy_module("billing_worker.domains.catalog.queries")
    objects = lazy_module("billing_worker.mirror.objects")

AT_MOST = 100


@click.command()
@click.argument("product")
@click.option("--compare", is_flag=True, help="Ask Stripe too and show where it differs; exit code 1 if it does.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, product: str, compare: bool, as_json: bool) -> None:
    """Show a product as the mirror has it, with the ids of its prices."""

    def describe(session: Session) -> dict[str, object]:
        found = objects.get_object(session, "product", product)
        prices = queries.list_prices(session, product_id=product, limit=AT_MOST)
        return {
            "product": product,
            "name": found.data.get("name"),
            "description": found.data.get("description"),
            "active": found.data.get("active"),
            "default_price": found.data.get("default_price"),
            "tax_code": found.data.get("tax_code"),
            "prices": [price.id for price in prices],
            "metadata": dict(found.data.get("metadata") or {}),
            "livemode": found.data.get("livemode"),
            "synced_at": found.synced_at,
        }

    if compare:
        show_comparison(invocation, "product", product, describe, as_json=as_json)
    else:
        show_object(invocation, describe, as_json=as_json)
