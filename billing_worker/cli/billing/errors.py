"""List what went wrong lately, grouped by kind and reason, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._durations import DURATION
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.doctor import error_groups
else:
    error_groups = lazy_module("billing_worker.doctor.error_groups")


@click.command()
@click.option("--last", type=DURATION, default="24h", show_default=True, help="How far back to look.")
@limit_option
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, last: timedelta, limit: int, *, as_json: bool) -> None:
    """List what went wrong lately, grouped by kind and reason, and what to do; exit code 1 when there is anything.

    Events, effects, calls to Stripe, scheduled runs and reconciliations that stopped and wait for a person.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        groups = error_groups.list_error_groups(session, since=unit_of_work.now() - last, limit=limit)
    show_rows([asdict(group) for group in groups], as_json=as_json, empty="nothing went wrong in that time")
    if groups:
        context.exit(EXIT_DIFFERENCES)
