"""Show when a quota was last reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.quota._rows import reset_row

if TYPE_CHECKING:
    from billing_worker.domains.quotas.queries import periods
else:
    periods = lazy_module("billing_worker.domains.quotas.queries.periods")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, user: str, as_json: bool) -> None:
    """Show the last reset of each of a user's quotas."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        periods.get_open_periods_of_user(session, user)
        closed = periods.list_last_closed_periods(session, user)
    show_rows([reset_row(one) for one in closed], as_json=as_json, empty=f"no quota of user {user} was reset yet")
