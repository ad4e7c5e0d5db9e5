"""Show the rate of calls."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.doctor.services import measure_stripe_rate
else:
    measure_stripe_rate = lazy_module("billing_worker.doctor.services.measure_stripe_rate")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show the rate of calls to Stripe, counted in the logs of the services on this machine."""
    rate = measure_stripe_rate.measure_stripe_rate(invocation.environ, datetime.now(UTC))
    show_facts(asdict(rate), as_json=as_json)
