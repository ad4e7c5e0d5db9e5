"""Prove with a few calls that Stripe, or the sandbox in its place, does what billing needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli._seeds import note_change, open_test_stripe

if TYPE_CHECKING:
    from billing_worker.seeds import boundaries
    from billing_worker.seeds.services import check_stripe
else:
    boundaries = lazy_module("billing_worker.seeds.boundaries")
    check_stripe = lazy_module("billing_worker.seeds.services.check_stripe")


@click.command()
@click.option("--use-mock", is_flag=True, help="Only against the sandbox.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, use_mock: bool, as_json: bool) -> None:
    """Make a customer, subscribe, pay, be declined, read the events, and take all of it away; exit code 1 on failure.

    Runs in test mode only. `nself rehearse` runs a whole month instead.
    """
    stripe = open_test_stripe(invocation)
    if use_mock:
        boundaries.require_sandbox(stripe.settings)
    note_change(invocation, context)
    steps = check_stripe.check_stripe(stripe.client)
    show_rows([asdict(step) for step in steps], as_json=as_json)
    if not all(step.passed for step in steps):
        context.exit(EXIT_DIFFERENCES)
