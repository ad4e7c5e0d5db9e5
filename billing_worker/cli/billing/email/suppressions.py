"""Show and lift addresses that are not written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option, reason_option
from billing_worker.cli._output import show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.domains.notifications import queries
    from billing_worker.domains.notifications.services import lift_suppression
else:
    queries = lazy_module("billing_worker.domains.notifications.queries")
    lift_suppression = lazy_module("billing_worker.domains.notifications.services.lift_suppression")


@click.command()
@click.option("--lift", metavar="ADDRESS", help="Write to this address again.")
@reason_option
@limit_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    lift: str | None,
    reason: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the addresses that mail came back from for good, or have one of them written to again."""
    with open_unit_of_work(invocation) as unit_of_work:
        if lift is not None:
            with audited(unit_of_work, context, reason=reason), unit_of_work.transaction() as session:
                why = lift_suppression.lift_suppression(session, lift)
            show_facts({"lifted": lift, "it_was_suppressed_for": why}, as_json=as_json)
            return
        with unit_of_work.transaction() as session:
            found = queries.list_suppressions(session, limit=limit)
    rows = [
        {
            "recipient": message.recipient,
            "customer": message.customer_id,
            "reason": suppression.reason,
            "message": f"{queries.MESSAGE_PREFIX}{message.id}",
            "since": suppression.suppressed_at,
        }
        for suppression, message in found
    ]
    show_rows(rows, as_json=as_json, empty="every address is written to")
