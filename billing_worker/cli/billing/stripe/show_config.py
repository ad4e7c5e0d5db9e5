"""Show the Stripe settings, secrets masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli._stripe import configured_stripe

if TYPE_CHECKING:
    from billing_worker.doctor.services import describe_stripe
else:
    describe_stripe = lazy_module("billing_worker.doctor.services.describe_stripe")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show the Stripe settings, secrets masked."""
    stripe = configured_stripe(invocation)
    show_facts(describe_stripe.describe_stripe(stripe.settings, stripe_is=stripe.kind), as_json=as_json)
