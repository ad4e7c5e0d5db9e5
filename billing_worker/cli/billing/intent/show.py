"""Show what was asked of Stripe and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli.billing.intent._rows import intent_row

if TYPE_CHECKING:
    from uuid import UUID

    from billing_worker.changes import queries
else:
    queries = lazy_module("billing_worker.changes.queries")


@click.command()
@click.argument("intent", type=click.UUID)
@json_option
@pass_invocation
def command(invocation: Invocation, *, intent: UUID, as_json: bool) -> None:
    """Show one intent: what was sent under which key, and where it stands."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.get_intent(session, intent)
    facts = intent_row(found) | {
        "sent": found.parameters,
        "idempotency_key": found.idempotency_key,
        "api_version": found.api_version,
        "first_called_at": found.first_called_at,
        "last_called_at": found.last_called_at,
        "next_attempt_at": None if found.finished_at else found.next_attempt_at,
        "request_id": found.request_id,
        "decline_code": found.decline_code,
        "finished_at": found.finished_at,
    }
    show_facts(facts, as_json=as_json)
