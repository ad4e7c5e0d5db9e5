"""Show the rate of calls."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.doctor.services import measure_stripe_rate, read_stripe_figures
else:
    measure_stripe_rate, read_stripe_figures = (
        lazy_module(f"billing_worker.doctor.services.{name}") for name in ("measure_stripe_rate", "read_stripe_figures")
    )


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show the rate of calls to Stripe: from the logs of this machine, and as counted by all processes together."""
    now = datetime.now(UTC)
    rate = measure_stripe_rate.measure_stripe_rate(invocation.environ, now)
    shared = read_stripe_figures.read_stripe_figures(load_command_settings(invocation), now)
    facts: dict[str, object] = asdict(rate)
    if shared is not None:
        facts["all_processes"] = {
            "calls_last_hour": shared.figures.total,
            "failed_last_hour": shared.figures.refused.total(),
            "waited_for_room": shared.figures.waits,
            "by_priority": dict(shared.figures.priorities),
            "open_circuits": shared.circuits,
        }
    show_facts(facts, as_json=as_json)
