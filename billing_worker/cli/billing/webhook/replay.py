"""Apply stored events again; effects are keyed, so none is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_container
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._moments import MOMENT, Moment, at
from billing_worker.cli._options import confirm, dry_run_option, json_option, yes_option
from billing_worker.cli._output import say, show_facts, show_rows
from billing_worker.inbox.states import EventStatus

if TYPE_CHECKING:
    from billing_worker.inbox import reports
    from billing_worker.inbox.services import replay_events, replay_selection
    from billing_worker.inbox.services.replay_events import ReplaySelection
    from billing_worker.worker.container import Container
else:
    reports = lazy_module("billing_worker.inbox.reports")
    replay_events, replay_selection = (
        lazy_module(f"billing_worker.inbox.services.{name}") for name in ("replay_events", "replay_selection")
    )

LISTED = 50


@click.command()
@click.argument("event_ids", nargs=-1, metavar="[EVENT]...")
@click.option(
    "--status", type=click.Choice([status.value for status in EventStatus]), help="Only events in this state."
)
@click.option("--since", type=MOMENT, help="Only events received from then on, e.g. 24h or 2026-01-30.")
@click.option("--until", type=MOMENT, help="Only events received before.")
@click.option("--type", "types", multiple=True, help="Only events of this type, e.g. invoice.paid; may be repeated.")
@click.option("--object", "object_id", help="Only events of one object, e.g. sub_123.")
@dry_run_option
@yes_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    event_ids: tuple[str, ...],
    status: str | None,
    since: Moment | None,
    until: Moment | None,
    types: tuple[str, ...],
    object_id: str | None,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Apply stored events again: named ones, or all that fit the options.

    Safe at any time: the mirror keeps what is newer, effects are keyed. Named events are replayed without a question.
    """
    with open_container(invocation) as container:
        now = container.unit_of_work.now()
        selection = replay_events.ReplaySelection(
            event_ids=event_ids,
            types=types,
            object_id=object_id,
            status=None if status is None else EventStatus(status),
            since=at(since, now),
            until=at(until, now),
        )
        with container.unit_of_work.transaction() as session:
            named = reports.get_named(session, event_ids)
        if dry_run:
            _list(container, selection, as_json=as_json)
            return
        selection.check()
        confirm("Replay every stored event that fits?", yes=yes or bool(event_ids))
        with audited(container.unit_of_work, context):
            report = replay_selection.replay_selection(
                container.unit_of_work,
                selection,
                wake=lambda lane: container.waker.wake_lane(lane, woken_by="replay"),
                tell=lambda events: say(f"{events} pending again"),
            )
    waiting = sum(event.status is EventStatus.PENDING for event in named)
    show_facts({"replayed": report.events, "already_pending": waiting, "lanes": report.lanes}, as_json=as_json)


def _list(container: Container, selection: ReplaySelection, *, as_json: bool) -> None:
    with container.unit_of_work.transaction() as session:
        found = replay_events.list_replayable(session, selection, size=LISTED)
    rows = [
        {"event_id": event.event_id, "type": event.type, "status": event.was, "lane": event.lane} for event in found
    ]
    show_rows(rows, as_json=as_json, empty="nothing would be replayed")
    if len(found) == LISTED:
        say(f"the first {LISTED} are shown")
