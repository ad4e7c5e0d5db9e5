"""Show Stripe's limits and how much of them was used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli._stripe import configured_stripe

if TYPE_CHECKING:
    from billing_worker.doctor.services import measure_stripe_rate
else:
    measure_stripe_rate = lazy_module("billing_worker.doctor.services.measure_stripe_rate")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show Stripe's limits per second, what all our processes may use, and what the busiest second of the hour used."""
    stripe = configured_stripe(invocation)
    rate = measure_stripe_rate.measure_stripe_rate(invocation.environ, datetime.now(UTC))
    rows = [
        {
            "limit": each.limit,
            "per_second": each.per_second,
            "our_budget": each.our_budget,
            "used_at_most": None if number else rate.per_second_most,
        }
        for number, each in enumerate(measure_stripe_rate.list_stripe_limits(stripe.settings))
    ]
    show_rows(rows, as_json=as_json)
    say(f"refused with 429 in the last hour: {rate.refused_last_hour}; such calls are repeated after a wait")
