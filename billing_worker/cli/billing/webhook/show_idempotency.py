"""Show an event's deliveries and the effects that are keyed by what it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.doctor import event_effects
    from billing_worker.inbox import reports
    from billing_worker.inbox.models import WebhookEvent
else:
    event_effects = lazy_module("billing_worker.doctor.event_effects")
    reports = lazy_module("billing_worker.inbox.reports")


@click.command()
@click.argument("event_id", metavar="EVENT")
@json_option
@pass_invocation
def command(invocation: Invocation, event_id: str, *, as_json: bool) -> None:
    """Show an event's deliveries and the effects that are keyed by what it tells.

    One row per event id and one per effect key, however often it is delivered or replayed.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        events = reports.get_named(session, [event_id])
        effects = event_effects.list_event_effects(session, [event.id for event in events])
    found = [
        (_describe(event), [each.as_row() for each in effects if each.event_row_id == event.id]) for event in events
    ]
    if as_json:
        show_rows([{**facts, "effects": own} for facts, own in found], as_json=True)
        return
    for facts, own in found:
        show_facts(facts, as_json=False)
        say("effects:")
        show_rows(own, as_json=False, empty="  none")


def _describe(event: WebhookEvent) -> dict[str, object]:
    return {
        "event_id": event.event_id,
        "account": event.account_id,
        "type": event.type,
        "object_key": event.object_key,
        "status": event.status,
        "deliveries": event.deliveries,
        "first_received": event.received_at,
        "last_delivery": event.last_delivery_at,
        "finished": event.finished_at,
    }
