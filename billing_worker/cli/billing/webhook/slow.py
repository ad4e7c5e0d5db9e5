"""List events that took long, or have been waiting for long."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._durations import DURATION
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import say, show_rows

if TYPE_CHECKING:
    from billing_worker.inbox import timings
else:
    timings = lazy_module("billing_worker.inbox.timings")


@click.command()
@click.option("--threshold", type=DURATION, default="5s", show_default=True, help="What counts as slow.")
@click.option("--last", type=DURATION, default="24h", show_default=True, help="How far back to look.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, threshold: timedelta, last: timedelta, limit: int, *, as_json: bool) -> int:
    """List events that waited or were applied for at least the threshold, the slowest first; exit code 1 if any.

    `waited` counts from receipt to the first finish, or to now for what still waits; `applied` is the transaction of
    the event's batch; `delivered` is how late Stripe's first successful delivery came and is none of our time.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        now = unit_of_work.now()
        found = timings.list_slow(session, threshold=threshold, since=now - last, now=now, limit=limit)
    show_rows([asdict(one) for one in found], as_json=as_json, empty="no event was that slow")
    if any(one.status == "pending" for one in found):
        say("what is pending waits still: `nself billing webhook queue-status` says for what")
    return EXIT_DIFFERENCES if found else EXIT_DONE
