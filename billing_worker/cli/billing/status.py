"""Show at a glance whether billing works."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.doctor import rules
    from billing_worker.doctor.rules import Standing
    from billing_worker.doctor.services import list_processes, read_standing
    from billing_worker.doctor.services.list_processes import Processes
    from billing_worker.switches import board
else:
    board, rules = (lazy_module(f"billing_worker.{name}") for name in ("switches.board", "doctor.rules"))
    list_processes, read_standing = (
        lazy_module(f"billing_worker.doctor.services.{name}") for name in ("list_processes", "read_standing")
    )


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Show at a glance whether billing works; exit code 1 when something wants attention, with the command for it."""
    settings = load_command_settings(invocation)
    processes = list_processes.list_processes(invocation.environ)
    if not as_json:
        _show_processes(processes)
    with open_unit_of_work(invocation) as unit_of_work:
        standing = read_standing.read_standing(unit_of_work, board.SwitchBoard(settings))
    attention = rules.list_attention(standing)
    if processes.wrong:
        attention.insert(0, rules.Attention(f"not running: {', '.join(processes.wrong)}", "nself status"))
    if as_json:
        listed = [asdict(each) for each in attention]
        show_facts({"processes": asdict(processes), **asdict(standing), "attention": listed}, as_json=True)
    else:
        show_facts(_describe(standing), as_json=False)
        for each in attention:
            say(f"! {each.what}: `{each.command}`")
    if attention:
        context.exit(EXIT_DIFFERENCES)


def _show_processes(processes: Processes) -> None:
    if processes.note:
        show_facts({"processes": processes.note}, as_json=False)
    else:
        show_rows(processes.services, as_json=False)


def _describe(standing: Standing) -> dict[str, object]:
    inbox, effects, runs, last = standing.inbox, standing.effects, standing.schedules, standing.last_reconciliation
    switched = [name for name, on in asdict(standing.switches).items() if on is True and name != "auto_payment"]
    facts: dict[str, object] = {
        "inbox": f"{inbox.pending} pending, {inbox.failed} failed, {inbox.quarantined} quarantined",
        "parked_objects": inbox.parked,
        "oldest_pending": inbox.oldest_pending_at,
        "effects": f"{effects.due} due, {effects.failed} failed, {effects.unknown} unknown",
        "calls_to_stripe": f"{effects.intents_open} under way, {effects.intents_parked} parked",
        "schedules": f"{runs.late} runs due, {runs.unscheduled} jobs behind, {runs.failed} failed in 24 h",
        "payments_waiting": standing.payments_waiting,
        "reconciliation": None
        if last is None
        else f"{last.status} at {last.started_at:%Y-%m-%d %H:%M}: {last.differing} of {last.compared} differed",
        "collector": standing.switches.collector,
        "automatic_payment": standing.switches.auto_payment,
        "switched_on": ", ".join(switched) or "none",
    }
    if standing.clock_offset_seconds:
        facts["clock"] = f"{standing.at:%Y-%m-%d %H:%M}, {standing.clock_offset_seconds} s ahead, driven by the sandbox"
    return facts
