"""Set quota counters beside raw usage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing.quota._rows import comparison_row

if TYPE_CHECKING:
    from billing_worker.domains.quotas.services import compare_quota
    from billing_worker.domains.usage.services import load_metrics
else:
    compare_quota = lazy_module("billing_worker.domains.quotas.services.compare_quota")
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, user: str, as_json: bool) -> None:
    """Compare the counter of each quota with the rollups and with the raw records of its period.

    Exit code 1: they differ though no record waits for aggregation.
    """
    zone = load_command_settings(invocation).billing_timezone
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        compared = compare_quota.compare_quota(session, user, metrics=load_metrics.load_metrics(), zone=zone)
    show_rows([comparison_row(one) for one in compared], as_json=as_json)
    different = sum(one.differs for one in compared)
    if different:
        say(f"{different} of {len(compared)} differ: `nself billing usage aggregate`, then `usage compare` day by day")
        context.exit(1)
