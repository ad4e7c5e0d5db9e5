"""List events that could not be applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.inbox.states import EventStatus

if TYPE_CHECKING:
    from billing_worker.inbox import reports
else:
    reports = lazy_module("billing_worker.inbox.reports")


@click.command()
@click.option("--last", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The newest so many.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, last: int, *, as_json: bool) -> None:
    """List events that could not be applied, newest first; exit code 1 when there are any.

    `failed` ones ran out of attempts, `quarantined` ones have a shape this release does not take. Their bodies are
    kept; nothing is lost.
    """
    stopped = reports.EventFilter(statuses=(EventStatus.FAILED, EventStatus.QUARANTINED))
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        rows = [
            {
                "event_id": event.event_id,
                "type": event.type,
                "object": event.object_id,
                "status": event.status,
                "reason": event.reason,
                "detail": event.detail,
                "attempts": event.attempts,
                "received": event.received_at,
                "finished": event.finished_at,
            }
            for event in reports.list_matching(session, stopped, limit=last)
        ]
    show_rows(rows, as_json=as_json, empty="every stored event was applied, ignored or still waits its turn")
    if rows:
        say(
            "after mending the cause: `nself billing webhook replay EVENT`, or `replay --status failed --since 24h`; "
            "what will never apply: `nself billing webhook discard EVENT --reason …`"
        )
        context.exit(EXIT_DIFFERENCES)
