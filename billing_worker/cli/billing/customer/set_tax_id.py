"""Give a customer a tax id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door, show_change
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.domains.customers.services import set_tax_id
else:
    set_tax_id = lazy_module("billing_worker.domains.customers.services.set_tax_id")


@click.command()
@click.argument("customer")
@click.option("--type", "kind", required=True, help="Which tax id, e.g. us_ein or eu_vat.")
@click.option("--value", required=True, help='The id, e.g. "12-3456789".')
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation, context: click.Context, /, *, customer: str, kind: str, value: str, as_json: bool, **_: bool
) -> None:
    """Give a customer a tax id; it is shown on invoices, and Stripe verifies some types."""
    with open_door(invocation, context, question=f"Give {customer} the tax id {kind} {value}?") as door:
        made = set_tax_id.set_tax_id(door, customer, kind=kind, value=value)
    verification = (made.data.get("verification") or {}).get("status")
    facts = {"customer": customer, "tax_id": made.stripe_id, "type": kind, "value": value}
    show_change(made, facts | {"verification": verification}, as_json=as_json)
