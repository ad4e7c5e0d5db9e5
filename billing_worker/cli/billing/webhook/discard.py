"""Discard an event that will never be applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.inbox.services import discard_event
else:
    discard_event = lazy_module("billing_worker.inbox.services.discard_event")


@click.command()
@click.argument("event_id", metavar="EVENT")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept with the event and in the audit trail.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, event_id: str, *, reason: str, as_json: bool) -> None:
    """Take an event that failed or is quarantined off the list of failures; its body is kept.

    `nself billing webhook replay EVENT` takes it up again.
    """
    with open_unit_of_work(invocation) as unit_of_work:
        with audited(unit_of_work, context, reason=reason), unit_of_work.transaction() as session:
            events = discard_event.discard_event(session, event_id, reason=reason, now=unit_of_work.now())
        rows = [{"event_id": one.event_id, "type": one.type, "status": one.status.value} for one in events]
    show_rows(rows, as_json=as_json)
