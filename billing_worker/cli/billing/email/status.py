"""Show what became of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli.billing.email._rows import facts_of

if TYPE_CHECKING:
    from billing_worker.domains.notifications import queries
else:
    queries = lazy_module("billing_worker.domains.notifications.queries")


@click.command()
@click.argument("message", metavar="MSG")
@json_option
@pass_invocation
def command(invocation: Invocation, message: str, *, as_json: bool) -> None:
    """Show what became of a message, what caused it and when it is tried again.

    MSG is a number as `email list` shows it (msg_123), or a Message-ID.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.get_message(session, message)
        facts = facts_of(found, queries.get_standing(session, found))
    show_facts(facts, as_json=as_json)
