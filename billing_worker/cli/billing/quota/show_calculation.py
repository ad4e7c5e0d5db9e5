"""Show how a user's use was computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts, show_rows
from billing_worker.cli.billing.quota._rows import calculation_row

if TYPE_CHECKING:
    from billing_worker.domains.quotas.queries import holds, periods
    from billing_worker.domains.usage.services import load_metrics
else:
    holds, periods = (lazy_module(f"billing_worker.domains.quotas.queries.{name}") for name in ("holds", "periods"))
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only the quota of this metric.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, user: str, metric: str | None, as_json: bool) -> None:
    """Show, for each quota, from what is granted to what is left: records, checks, leases and reservations."""
    metrics = load_metrics.load_metrics()
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        opened = periods.get_open_periods_of_user(session, user, metric)
        held = holds.read_holds(session, [one.id for one in opened])
    rows = [calculation_row(one, held[one.id], metrics.formula_of(one.terms.metric_type)) for one in opened]
    if as_json:
        show_rows(rows, as_json=True)
        return
    for number, row in enumerate(rows):
        if number:
            click.echo()
        show_facts(row, as_json=False)
