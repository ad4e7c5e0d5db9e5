"""List messages to customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.email._rows import row_of
from billing_worker.domains.notifications.rules import FAMILIES
from billing_worker.domains.notifications.states import Template

if TYPE_CHECKING:
    from billing_worker.domains.notifications import queries
else:
    queries = lazy_module("billing_worker.domains.notifications.queries")


@click.command()
@click.option(
    "--type",
    "about",
    type=click.Choice((*FAMILIES, *(template.value for template in Template))),
    metavar="T",
    help=f"Only about {' or '.join(FAMILIES)}, or one template, e.g. {Template.INVOICE_PAID.value}.",
)
@click.option("--customer", metavar="ID", help="Only to this customer, e.g. cus_123.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, about: str | None, customer: str | None, limit: int, as_json: bool) -> None:
    """List messages to customers, newest first; a suppressed one says why it was not sent."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.list_messages(session, about=about, customer_id=customer, limit=limit)
    show_rows([row_of(message) for message in found], as_json=as_json, empty="no message was written yet")
