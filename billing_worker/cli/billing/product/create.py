"""Create a product at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door, parse_metadata, show_change
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.domains.catalog.services import create_product
else:
    create_product = lazy_module("billing_worker.domains.catalog.services.create_product")


@click.command()
@click.option("--name", required=True, help="What customers read on invoices.")
@click.option("--description", help="A longer text for customers.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Kept at Stripe; may be repeated.")
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    name: str,
    description: str | None,
    metadata: tuple[str, ...],
    as_json: bool,
    **_: bool,
) -> None:
    """Create a product at Stripe."""
    marks = parse_metadata(metadata)
    with open_door(invocation, context, question=f"Create the product {name}?") as door:
        made = create_product.create_product(door, name=name, description=description, metadata=marks)
    show_change(made, {"product": made.stripe_id, "name": made.data.get("name")}, as_json=as_json)
