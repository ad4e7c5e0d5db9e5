"""`subscription prorations` and `subscription recalculate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing.subscription._facts import line_rows

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions.services import list_prorations
else:
    list_prorations = lazy_module("billing_worker.domains.subscriptions.services.list_prorations")


def proration_command(summary: str, more: str, *, only_pending: bool) -> click.Command:
    """Make the command: `only_pending` leaves out what was billed already."""

    @click.command(help=f"{summary}\n\n{more}")
    @click.argument("subscription_id", metavar="SUBSCRIPTION")
    @json_option
    @click.pass_context
    @pass_invocation
    def command(invocation: Invocation, context: click.Context, subscription_id: str, *, as_json: bool) -> None:
        with open_subject(invocation) as subject, subject.unit_of_work.transaction() as session:
            current = subject.gateway.retrieve("subscription", subscription_id).data
            found = list_prorations.list_prorations(session, subject.gateway, current)
        billed = {} if only_pending else found.billed
        rows = [
            {"invoice": invoice_id, **row, "differs": line.differs}
            for invoice_id, lines in (*billed.items(), ("next", found.pending))
            for line, row in zip(lines, line_rows(lines), strict=True)
        ]
        show_rows(rows, as_json=as_json, empty="no prorations")
        if any(row["differs"] for row in rows):
            say("an amount is not what price, quantity and seconds give: compare the price's history at Stripe")
            context.exit(EXIT_DIFFERENCES)

    return command
