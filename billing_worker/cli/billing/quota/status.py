"""Show which limits a user has reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing.quota._rows import status_row

if TYPE_CHECKING:
    from billing_worker.domains.quotas.queries import periods
else:
    periods = lazy_module("billing_worker.domains.quotas.queries.periods")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, user: str, as_json: bool) -> None:
    """Show how each quota of a user stands: ok, near (80 %), used_up, exceeded or blocked."""
    enforcing = load_command_settings(invocation).quota_enforcement_enabled
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        quotas = periods.get_open_periods_of_user(session, user)
    if not enforcing:
        say("QUOTA_ENFORCEMENT_ENABLED=false: nobody is blocked; `nself env set QUOTA_ENFORCEMENT_ENABLED=true`")
    show_rows([status_row(one) for one in quotas], as_json=as_json)
