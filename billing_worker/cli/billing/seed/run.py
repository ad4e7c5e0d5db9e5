"""Seed everything that is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli._seeds import note_change, open_test_stripe

if TYPE_CHECKING:
    from billing_worker.seeds.services import run_seeds
else:
    run_seeds = lazy_module("billing_worker.seeds.services.run_seeds")


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Seed everything that is missing: prices, customers, subscriptions, invoices; safe to repeat."""
    stripe = open_test_stripe(invocation)
    note_change(invocation, context)
    show_rows(
        [
            {"kind": kind, "created": tally.created, "already_there": tally.found}
            for kind, tally in run_seeds.run_seeds(stripe.client).items()
        ],
        as_json=as_json,
    )
