"""Show calls to Stripe over a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._durations import DURATION
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.kernel.errors import UnavailableError

if TYPE_CHECKING:
    from billing_worker.doctor.services import read_stripe_figures
else:
    read_stripe_figures = lazy_module("billing_worker.doctor.services.read_stripe_figures")

LONGEST = timedelta(hours=1)


@click.command("requests")
@click.option("--last", type=DURATION, default="1h", show_default=True, help="How far back, at most 1h.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, last: timedelta, as_json: bool) -> None:
    """Show the calls of all processes to Stripe by operation: how many, how many failed, how long they took."""
    if last > LONGEST:
        raise click.BadParameter("calls are counted for an hour; write for example --last 1h", param_hint="--last")
    shared = read_stripe_figures.read_stripe_figures(load_command_settings(invocation), datetime.now(UTC), last)
    if shared is None:
        raise UnavailableError(
            "calls are counted in Redis, which does not answer; the logs have each: `nself logs billing`"
        )
    figures = shared.figures
    rows = [
        {
            "operation": operation,
            "calls": calls,
            "failed": figures.refused[operation],
            "mean_ms": round(figures.ms[operation] / calls),
        }
        for operation, calls in figures.calls.most_common()
    ]
    show_rows(rows, as_json=as_json, empty="Stripe was not called in that time")
    if rows and not as_json:
        statuses = ", ".join(f"{status} {count}" for status, count in sorted(figures.statuses.items()))
        classes = ", ".join(f"{name} {count}" for name, count in figures.priorities.most_common())
        say(f"{figures.total} calls; by status: {statuses}; by priority: {classes}; waited for room: {figures.waits}")
