"""List what went wrong with invoices."""

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
    from billing_worker.domains.invoices import queries
else:
    queries = lazy_module("billing_worker.domains.invoices.queries")


@click.command()
@click.option("--last", type=DURATION, default="24h", show_default=True, help="How far back.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, last: timedelta, limit: int, as_json: bool) -> None:
    """List changes of invoices that were refused, payments that failed and finalisations that Stripe stopped."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.list_errors(session, since=unit_of_work.now() - last, limit=limit)
    show_rows([asdict(one) for one in found], as_json=as_json, empty=f"nothing went wrong with invoices in {last}")
