"""Show the log of a service, or of all of billing."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import since_option

if TYPE_CHECKING:
    from billing_worker.stack import read_logs
else:
    read_logs = lazy_module("billing_worker.stack.read_logs")

LEVELS = ("debug", "info", "warning", "error", "critical")
HEADER = frozenset({"timestamp", "level", "event", "service"})
COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "bright_black"}


@click.command()
@click.argument("services", nargs=-1, required=True, metavar="SERVICE...")
@click.option("--tail", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Lines at most.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", show_default=True, help="Only from this level up.")
@click.option("--grep", "containing", default="", metavar="TEXT", help="Only lines that contain this, in any case.")
@since_option
@pass_invocation
def command(
    invocation: Invocation, services: tuple[str, ...], *, tail: int, level: str, containing: str, since: datetime | None
) -> None:
    """Show the log of a service, or of all of billing, merged by time.

    Lines are shown for people at a terminal and as they were written everywhere else.
    """
    lines = read_logs.read_logs(
        invocation.environ, services, tail=tail, level=level, containing=containing, since=since
    )
    several = len({line.process for line in lines}) > 1
    for line in lines:
        if sys.stdout.isatty():
            click.secho(_for_people(line, several=several), fg=COLOURS.get(line.level))
        else:
            click.echo(line.text)


def _for_people(line: read_logs.LogLine, *, several: bool) -> str:
    process = f"{line.process:<18} " if several else ""
    if not line.fields:
        return process + line.text
    facts = " ".join(f"{name}={value}" for name, value in line.fields.items() if name not in HEADER)
    return f"{line.at:%Y-%m-%d %H:%M:%S} {process}{line.level:<8} {line.fields.get('event', '')} {facts}".rstrip()
