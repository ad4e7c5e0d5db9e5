"""List stored events, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._moments import MOMENT, Moment, at
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows
from billing_worker.inbox.states import EventStatus

if TYPE_CHECKING:
    from billing_worker.inbox import reports
else:
    reports = lazy_module("billing_worker.inbox.reports")


@click.command()
@click.option("--object", "object_id", help="Only one object, e.g. sub_123; a customer takes in all its objects.")
@click.option("--type", "event_type", help="Only one type, e.g. invoice.paid.")
@click.option("--status", type=click.Choice([status.value for status in EventStatus]), help="Only one state.")
@click.option("--since", type=MOMENT, help="Only received from then on, e.g. 24h or 2026-01-30.")
@limit_option
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    object_id: str | None,
    event_type: str | None,
    status: str | None,
    since: Moment | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List stored events, newest first."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        wanted = reports.EventFilter(
            object_id=object_id,
            type=event_type,
            statuses=() if status is None else (EventStatus(status),),
            since=at(since, unit_of_work.now()),
        )
        rows = [
            {
                "event_id": event.event_id,
                "type": event.type,
                "object": event.object_id,
                "created": event.created,
                "received": event.received_at,
                "status": event.status,
                "source": event.source,
                "deliveries": event.deliveries,
                "reason": event.reason,
            }
            for event in reports.list_matching(session, wanted, limit=limit)
        ]
    show_rows(rows, as_json=as_json, empty="no such event is stored")
