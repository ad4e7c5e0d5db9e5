"""Run one month of a small shop against the sandbox, prove its outcome, and stay up."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_container
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say
from billing_worker.cli._summary import show_addresses, show_summary

if TYPE_CHECKING:
    from rich import console
    from rich import progress as bars

    from billing_worker.app import tick
    from billing_worker.rehearsal import month, rehearse
    from billing_worker.stack import start, stop
else:
    console, bars = lazy_module("rich.console"), lazy_module("rich.progress")
    tick = lazy_module("billing_worker.app.tick")
    month, rehearse = (lazy_module(f"billing_worker.rehearsal.{name}") for name in ("month", "rehearse"))
    start, stop = (lazy_module(f"billing_worker.stack.{name}") for name in ("start", "stop"))


@click.command()
@click.option("--once", is_flag=True, help="Stop everything after the summary; exit 1 if anything is wrong.")
@click.option("--days", type=click.IntRange(1, 62), default=32, show_default=True, help="Days of simulated time.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, once: bool, days: int, as_json: bool) -> int:
    """Run one month of a small shop against the sandbox, prove its outcome, and stay up until Ctrl-C.

    Starts everything, drives customers, trials, upgrades, renewals, failing cards, cancellations and usage through
    simulated time, and compares what the system made of it with the sandbox's own record.
    """
    started = start.start_services(invocation.environ, (), tell=say)
    try:
        with open_container(invocation) as container, _shown_progress() as tell:
            summary = rehearse.rehearse(container, tick.ALL_PROBES, days=days, tell=tell)
            settings = container.settings
        show_summary(summary, as_json=as_json)
        show_addresses(settings)
        if not once:
            _wait_for_ctrl_c()
    finally:
        if started:
            stop.stop_services(invocation.environ, (), with_intake=True, tell=say)
    return EXIT_DONE if summary.verdict.is_good else EXIT_DIFFERENCES


@contextmanager
def _shown_progress() -> Iterator[Callable[[month.Progress], None]]:
    """Show a bar in a terminal, a line per event of the story elsewhere."""
    if not sys.stderr.isatty():
        yield lambda step: say(f"{step.done:4.0%}  {step.at:%Y-%m-%d %H:%M}  {step.what}")
        return
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.fields[at]}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.description}"),
    )
    with bars.Progress(*columns, console=console.Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("", total=1.0, at="")
        yield lambda step: shown.update(bar, completed=step.done, description=step.what, at=f"{step.at:%Y-%m-%d}")


def _wait_for_ctrl_c() -> None:
    say("everything stays up; Ctrl-C stops it")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
