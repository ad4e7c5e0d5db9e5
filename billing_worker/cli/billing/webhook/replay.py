"""Apply stored events again; effects are keyed, so none is repeated."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_container
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._moments import MOMENT, Moment, at
from billing_worker.cli._options import confirm, dry_run_option, json_option, reason_option, yes_option
from billing_worker.cli._output import say
from billing_worker.cli._replays import fetch_missing, preview, show_report
from billing_worker.inbox.states import EventStatus

if TYPE_CHECKING:
    from billing_worker.domains.notifications import rules
    from billing_worker.inbox import replayed_effects, reports
    from billing_worker.inbox.services import replay_events, replay_selection, require_repeatable
else:
    rules = lazy_module("billing_worker.domains.notifications.rules")
    replayed_effects, reports = (
        lazy_module(f"billing_worker.inbox.{name}") for name in ("replayed_effects", "reports")
    )
    replay_events, replay_selection, require_repeatable = (
        lazy_module(f"billing_worker.inbox.services.{name}")
        for name in ("replay_events", "replay_selection", "require_repeatable")
    )


@click.command()
@click.argument("event_ids", nargs=-1, metavar="[EVENT]...")
@click.option("--status", type=click.Choice([each.value for each in EventStatus]), help="Only events in this state.")
@click.option("--since", type=MOMENT, help="Only events received from then on, e.g. 24h or 2026-01-30.")
@click.option("--until", type=MOMENT, help="Only events received before.")
@click.option("--type", "types", multiple=True, help="Only events of this type, e.g. invoice.paid; may be repeated.")
@click.option("--object", "object_id", help="Only events of one object, e.g. sub_123.")
@click.option("--from-stripe", is_flag=True, help="Fetch what is not stored, or pruned, from Stripe first.")
@click.option("--with-effects", is_flag=True, help="Send their mail once more; asks for --reason. Never money.")
@reason_option
@dry_run_option
@yes_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation, context: click.Context, /, *, event_ids: tuple[str, ...], status: str | None,
    since: Moment | None, until: Moment | None, types: tuple[str, ...], object_id: str | None, from_stripe: bool,
    with_effects: bool, reason: str | None, dry_run: bool, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Apply stored events again: named ones, or all that fit the options.

    Safe at any time: the mirror keeps what is newer, effects are keyed. Named events are replayed without a question.
    --dry-run lists the effects they would have; exit code 1 when an event could not be replayed.
    """
    if with_effects and not (reason or dry_run):
        raise click.UsageError('--with-effects sends mail again: add --reason, for example --reason "asked for it"')
    with open_container(invocation) as container:
        unit_of_work, now = container.unit_of_work, container.unit_of_work.now()
        selection = replay_events.ReplaySelection(
            event_ids=event_ids,
            types=types,
            object_id=object_id,
            status=None if status is None else EventStatus(status),
            since=at(since, now),
            until=at(until, now),
        )
        again = rules.KINDS if with_effects else ()
        with unit_of_work.transaction() as session:
            named = [] if from_stripe else reports.get_named(session, event_ids)
        selection.check()
        if dry_run:
            preview(container, selection, again=again, fetches=from_stripe, as_json=as_json)
            return EXIT_DONE
        confirm("Replay every stored event that fits?", yes=yes or bool(event_ids))
        with audited(unit_of_work, context, reason=reason):
            fetched = fetch_missing(container, selection) if from_stripe else None
            if with_effects:
                require_repeatable.require_repeatable(unit_of_work, selection, container.reactions, again=again)
            repeat = partial(replayed_effects.repeat_called_for, reactions=container.reactions, again=again, now=now)
            report = replay_selection.replay_selection(
                unit_of_work,
                selection,
                wake=lambda lane: container.waker.wake_lane(lane, woken_by="replay"),
                tell=lambda events: say(f"{events} pending again"),
                repeat=repeat if with_effects else None,
            )
    waiting = sum(event.status is EventStatus.PENDING for event in named)
    show_report(report, fetched, waiting=waiting, as_json=as_json)
    return EXIT_DIFFERENCES if report.left_out or (fetched is not None and fetched.gone) else EXIT_DONE
