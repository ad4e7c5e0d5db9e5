"""Show a message's attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts, show_rows
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
    """Show what became of a message, and each conversation with the mail server about it.

    MSG is a number as `email list` shows it (msg_123), or a Message-ID.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.get_message(session, message)
        facts = facts_of(found, queries.get_standing(session, found))
        attempts = queries.list_attempts(session, found.id)
    rows = [
        {
            "attempt": attempt.attempt,
            "started_at": attempt.started_at,
            "ended_at": attempt.ended_at,
            "outcome": attempt.outcome,
            "answer": attempt.detail,
        }
        for attempt in attempts
    ]
    if as_json:
        show_facts({**facts, "history": rows}, as_json=True)
        return
    show_facts(facts, as_json=False)
    show_rows(rows, as_json=False, empty="no mail server was asked yet")
