"""Show how far the rollups are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
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
    """Show what waits for aggregation, since when, and the settings that drive it."""
    settings = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            lag = reports.get_aggregation_lag(session)
    facts = {
        "state": lag.state(now, settings.usage_aggregation_interval),
        **asdict(lag),
        "lag": lag.age(now),
        "interval": settings.usage_aggregation_interval,
        "parallel": settings.usage_aggregation_parallel,
        "workers": settings.usage_aggregation_workers,
    }
    show_facts(facts, as_json=as_json)
