"""Remove seeded and made-up objects of the test mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import NotConfirmedError, json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli._seeds import note_change, open_test_stripe

if TYPE_CHECKING:
    from billing_worker.seeds.services import clear_seeds
else:
    clear_seeds = lazy_module("billing_worker.seeds.services.clear_seeds")


@click.command()
@click.option("--confirm", "is_confirmed", is_flag=True, help="Yes, remove it.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, is_confirmed: bool, as_json: bool) -> None:
    """Remove what `seed` and `test-data` made: customers with their subscriptions, open invoices, prices from sale.

    Nothing else is touched: what was made here carries a mark.
    """
    stripe = open_test_stripe(invocation)
    if not is_confirmed:
        raise NotConfirmedError(
            "this deletes every customer with the mark of seeds: `nself billing seed status` shows them; add --confirm"
        )
    note_change(invocation, context)
    show_facts(dict(clear_seeds.clear_seeds(stripe.client)), as_json=as_json)
