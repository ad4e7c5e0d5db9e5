"""Show the schedule of resets."""

from __future__ import annotations

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from schedules import JOBS


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show the cron expression of the reset job and the zone it is read in."""
    zone = load_command_settings(invocation).billing_timezone
    show_facts({"job": "quota_reset", "cron": JOBS["quota_reset"].cron, "zone": zone.key}, as_json=as_json)
