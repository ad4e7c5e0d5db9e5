"""Show when rollups are computed."""

from __future__ import annotations

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._options import json_option
from billing_worker.cli.billing._schedules import show_schedule


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show the schedule of aggregation, its next slot and its last run."""
    show_schedule(
        invocation, "usage_aggregation", as_json=as_json, note="woken within a second whenever batches are open"
    )
