"""Show how long events waited and how long applying them took."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._durations import DURATION
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.inbox import reports
else:
    reports = lazy_module("billing_worker.inbox.reports")


@click.command()
@click.option("--last", type=DURATION, default="24h", show_default=True, help="How far back to look.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, last: timedelta, limit: int, *, as_json: bool) -> None:
    """Show how long events waited (receipt to finish) and how long their batch's transaction took, per type.

    The answer to Stripe waits for neither: the receiver answers once a delivery is committed.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        timings = reports.list_timings(session, since=unit_of_work.now() - last, limit=limit)
    show_rows([asdict(each) for each in timings], as_json=as_json, empty="no event was finished in that time")
