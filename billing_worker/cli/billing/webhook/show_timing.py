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
    from billing_worker.inbox import timings
else:
    timings = lazy_module("billing_worker.inbox.timings")


@click.command()
@click.option("--last", type=DURATION, default="24h", show_default=True, help="How far back to look.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, last: timedelta, limit: int, *, as_json: bool) -> None:
    """Show how long each stage took, per type: Stripe's delivery, the wait for a worker, the batch's transaction.

    The answer to Stripe waits for none of it: the receiver answers once a delivery is committed. `delivered` is what
    Stripe took from the event to the delivery we answered; hours mean that we had refused or missed it before.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = timings.list_timings(session, since=unit_of_work.now() - last, limit=limit)
    show_rows([asdict(each) for each in found], as_json=as_json, empty="no event was finished in that time")
