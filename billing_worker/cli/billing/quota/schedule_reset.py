"""Put the reset job back on its schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say
from billing_worker.cli.billing._schedules import show_schedule
from schedules import JOBS

if TYPE_CHECKING:
    from billing_worker.worker.ledger import rules
    from billing_worker.worker.ledger.services import insert_due_runs
else:
    rules = lazy_module("billing_worker.worker.ledger.rules")
    insert_due_runs = lazy_module("billing_worker.worker.ledger.services.insert_due_runs")


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Plan the reset job anew: its next slot, and the run of a slot that has passed without one.

    Workers take planned runs up within a second; `quota reset-all --force` resets without them.
    """
    settings = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context):
        schedule = rules.schedule_of(JOBS["quota_reset"], settings)
        planned = insert_due_runs.insert_due_runs(unit_of_work, schedules=[schedule], now=unit_of_work.now())
    say(f"{planned} runs planned")
    show_schedule(invocation, "quota_reset", as_json=as_json, note="woken within a second whenever a period has ended")
