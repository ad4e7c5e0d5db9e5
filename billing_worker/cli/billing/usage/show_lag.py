"""Show how old the rollups are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.domains.usage.queries import reports
else:
    reports = lazy_module("billing_worker.domains.usage.queries.reports")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show the age of the oldest record that is not in the rollups, and how many there are."""
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            lag = reports.get_aggregation_lag(session)
    show_facts({"lag": lag.age(now), "batches": lag.open_batches, "records": lag.open_records}, as_json=as_json)
