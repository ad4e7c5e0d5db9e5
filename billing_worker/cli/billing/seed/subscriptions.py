"""Seed the subscriptions that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli._seeds import note_change, open_test_stripe

if TYPE_CHECKING:
    from billing_worker.seeds.services import seed_subscriptions
else:
    seed_subscriptions = lazy_module("billing_worker.seeds.services.seed_subscriptions")


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Seed the subscriptions that are missing, with the customers and prices they need; safe to repeat."""
    stripe = open_test_stripe(invocation)
    note_change(invocation, context)
    tally = seed_subscriptions.seed_subscriptions(stripe.client)
    show_facts({"created": tally.created, "already_there": tally.found}, as_json=as_json)
