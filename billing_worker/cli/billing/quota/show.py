"""Show a user's limits and use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts, show_rows
from billing_worker.cli.billing.quota._rows import quota_row

if TYPE_CHECKING:
    from billing_worker.domains.quotas.queries import periods
else:
    periods = lazy_module("billing_worker.domains.quotas.queries.periods")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, user: str, as_json: bool) -> None:
    """Show each quota of a user: its terms, its open period, what is used and left."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        quotas = periods.get_open_periods_of_user(session, user)
    if as_json:
        show_rows([quota_row(one) for one in quotas], as_json=True)
        return
    for number, one in enumerate(quotas):  # a line per fact: `quota show … | grep period`
        if number:
            click.echo()
        show_facts(quota_row(one), as_json=False)
