"""List subscriptions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows
from billing_worker.kernel.errors import RefusedError

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions import queries
else:
    queries = lazy_module("billing_worker.domains.subscriptions.queries")

STATUSES = ("trialing", "active", "past_due", "unpaid", "incomplete", "incomplete_expired", "canceled", "paused")


@click.command()
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@click.option("--customer", "customer_id", metavar="CUS", help="Only this customer's.")
@click.option("--test-mode", is_flag=True, help="Only test data; refused where this installation is live.")
@limit_option
@json_option
@pass_invocation
def command(
    invocation: Invocation, *, status: str | None, customer_id: str | None, test_mode: bool, limit: int, as_json: bool
) -> None:
    """List mirrored subscriptions, the period that ends last first."""
    if test_mode and load_command_settings(invocation).livemode:
        raise RefusedError("this installation is live and holds no test data: leave --test-mode out")
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.list_subscriptions(session, status=status, customer_id=customer_id, limit=limit)
    show_rows([asdict(one) for one in found], as_json=as_json, empty="no such subscription is mirrored")
