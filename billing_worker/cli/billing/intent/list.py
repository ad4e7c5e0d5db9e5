"""List what was asked of Stripe and is not finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.intent._rows import intent_row

if TYPE_CHECKING:
    from billing_worker.changes import queries
    from billing_worker.effects import intents
else:
    queries = lazy_module("billing_worker.changes.queries")
    intents = lazy_module("billing_worker.effects.intents")

STATUSES = ("pending", "calling", "succeeded", "declined", "failed", "parked")


@click.command()
@click.option("--status", type=click.Choice(STATUSES), multiple=True, help="Only in this state; may be repeated.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, status: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List intents, newest first: those that are open or parked unless --status says otherwise."""
    wanted = [intents.IntentStatus(one) for one in status] or list(queries.OPEN)
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.list_intents(session, wanted, limit=limit)
    show_rows([intent_row(one) for one in found], as_json=as_json, empty="every intent has ended")
