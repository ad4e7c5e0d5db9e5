"""Show whether usage is taken in."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.usage.queries import reports
else:
    reports = lazy_module("billing_worker.domains.usage.queries.reports")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show each source of usage of the last 30 days: its last batch and its recent volume."""
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            sources = reports.list_source_activity(session, now)
    show_rows([asdict(source) for source in sources], as_json=as_json, empty="no usage was recorded in 30 days")
