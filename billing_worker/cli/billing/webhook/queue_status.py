"""Show what waits: lanes, broker queues, parked objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import say, show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.doctor.services import read_waiting
else:
    read_waiting = lazy_module("billing_worker.doctor.services.read_waiting")


@click.command()
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, limit: int, *, as_json: bool) -> None:
    """Show what waits: events per lane, messages per broker queue, parked objects and until when.

    Messages only wake workers: a full queue with empty lanes is no backlog, and an empty one with full lanes is one.
    """
    settings = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work:
        waiting = read_waiting.read_waiting(
            unit_of_work,
            broker_url=settings.broker_url,
            webhook_queue_count=settings.billing_webhook_queues,
            limit=limit,
        )
    if as_json:
        show_facts(waiting.as_facts(), as_json=True)
        return
    for title, rows in waiting.as_tables():
        say(title)
        show_rows(rows, as_json=False, empty="  nothing")
