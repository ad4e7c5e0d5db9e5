"""Data on stdout, a table for people or JSON for programs; talk on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from rich import box, console, table, text
else:
    box, console, table, text = (lazy_module(f"rich.{name}") for name in ("box", "console", "table", "text"))

Row = Mapping[str, object]

PIPE_WIDTH = 10_000
"""A line in a pipe is not cut: somebody may grep it."""


def show_rows(rows: Sequence[Row], *, as_json: bool, empty: str = "nothing found") -> None:
    """Print rows of one shape: a JSON array, or a table headed by the names of the first row."""
    if as_json:
        click.echo(json.dumps([dict(row) for row in rows], default=_as_json, indent=1))
        return
    if not rows:
        say(empty)
        return
    grid = table.Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in rows[0]:
        grid.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        grid.add_row(*(text.Text(as_text(value)) for value in row.values()))
    _print(grid)


def show_facts(facts: Row, *, as_json: bool) -> None:
    """Print one object: a JSON object, or a line per fact; in a pipe with the names that JSON has, to be grepped."""
    if as_json:
        click.echo(json.dumps(dict(facts), default=_as_json, indent=1))
        return
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        shown = name.replace("_", " ") if sys.stdout.isatty() else name
        click.echo(f"{shown:<{width}}  {as_text(value)}")


def say(message: str) -> None:
    """Tell the operator something that is not data."""
    click.echo(message, err=True)


def as_text(value: object) -> str:
    """Render a value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, default=_as_json)
    return str(value)


def _as_json(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _print(grid: table.Table) -> None:
    at_terminal = sys.stdout.isatty()
    out = console.Console(width=None if at_terminal else PIPE_WIDTH, highlight=False, no_color=not at_terminal)
    with out.capture() as captured:
        out.print(grid)
    click.echo("\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines()))
