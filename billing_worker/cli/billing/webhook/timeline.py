"""Show an object's events in Stripe's order and what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows
from billing_worker.kernel.errors import NotFoundError

if TYPE_CHECKING:
    from billing_worker.inbox import reports
else:
    reports = lazy_module("billing_worker.inbox.reports")


@click.command()
@click.argument("object_id", metavar="OBJECT")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, object_id: str, limit: int, *, as_json: bool) -> None:
    """Show an object's events in Stripe's order and what became of each.

    A `superseded` one's snapshot was not written, because a newer one was there; what it tells counts all the same.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        events = reports.list_matching(session, reports.EventFilter(object_id=object_id), limit=limit)
    if not events:
        raise NotFoundError(f"no event about {object_id} is stored; `nself billing webhook events` lists what is")
    rows = [
        {
            "created": event.created,
            "event_id": event.event_id,
            "type": event.type,
            "object": event.object_id,
            "received": event.received_at,
            "source": event.source,
            "status": event.status,
            "superseded": event.superseded,
            "order_proven": not event.order_unproven,
            "finished": event.finished_at,
            "reason": event.reason,
        }
        for event in reversed(events)
    ]
    show_rows(rows, as_json=as_json)
