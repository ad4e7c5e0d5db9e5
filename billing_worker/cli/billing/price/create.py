"""Create a price at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door, parse_metadata, show_change
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.domains.catalog import rules
    from billing_worker.domains.catalog.services import create_price
else:
    rules = lazy_module("billing_worker.domains.catalog.rules")
    create_price = lazy_module("billing_worker.domains.catalog.services.create_price")


@click.command()
@click.option("--product", required=True, metavar="ID", help="What it is the price of, e.g. prod_123.")
@click.option("--amount", required=True, help="In minor units, e.g. 999 for 9.99 USD; 0.5 is half a cent.")
@click.option("--currency", default="usd", show_default=True)
@click.option("--interval", type=click.Choice(["day", "week", "month", "year"]), help="Makes it a recurring price.")
@click.option("--interval-count", type=click.IntRange(1, 36), default=1, show_default=True, help="Every so many.")
@click.option("--trial-days", type=click.IntRange(1, 730), help="Trial of subscriptions to it, unless they say.")
@click.option("--type", "kind", type=click.Choice(["standard", "overage"]), default="standard", show_default=True)
@click.option("--metric", help="Of an overage price: which metric's units beyond the quota it is for.")
@click.option("--meter", metavar="ID", help="Stripe's meter that counts the units, e.g. mtr_123.")
@click.option("--nickname", help="For yourselves.")
@click.option("--lookup-key", help="A name by which programs find it.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Kept at Stripe; may be repeated.")
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    product: str,
    kind: str,
    metadata: tuple[str, ...],
    as_json: bool,
    dry_run: bool,
    yes: bool,
    **terms: str | int | None,
) -> None:
    """Create a price of a product. Prices never change: archive a wrong one at Stripe and create another."""
    del dry_run, yes
    if (kind == "overage") != (terms["metric"] is not None):
        raise click.UsageError("--type overage goes with --metric, for example --type overage --metric api_calls")
    wanted = rules.PriceTerms(metadata=parse_metadata(metadata), **terms)  # type: ignore[arg-type] # the options' names are the fields'
    with open_door(invocation, context, question=f"Create a price of {product}?") as door:
        made = create_price.create_price(door, product, wanted)
    facts = {"price": made.stripe_id, "product": product, "currency": made.data.get("currency")}
    amount = made.data.get("unit_amount")
    facts["unit_amount_minor"] = amount if amount is not None else made.data.get("unit_amount_decimal")
    show_change(made, facts, as_json=as_json)
