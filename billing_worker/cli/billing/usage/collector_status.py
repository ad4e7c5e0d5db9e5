"""Show whether usage is taken in."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.doctor.services import read_collector
    from billing_worker.doctor.services.read_collector import CollectorStanding
else:
    read_collector = lazy_module("billing_worker.doctor.services.read_collector")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show each source of usage of the last 30 days, the Redis buffer and what is held.

    `nself status` shows the process, `nself billing health --component usage` judges all of it.
    """
    with open_subject(invocation) as subject:
        standing = read_collector.read_collector(subject)
    sources = [asdict(source) for source in standing.sources]
    if as_json:
        show_facts({"sources": sources, "buffer": _buffer_facts(standing), "held": dict(standing.held)}, as_json=True)
        return
    show_rows(sources, as_json=False, empty="no usage was recorded in 30 days")
    click.echo("")
    show_facts({"buffer": _buffer_line(standing), "held_records": sum(standing.held.values())}, as_json=False)


def _buffer_facts(standing: CollectorStanding) -> dict[str, object]:
    buffer = {} if standing.buffer is None else asdict(standing.buffer)
    return {"enabled": standing.buffer_enabled, "problem": standing.buffer_problem or None, **buffer}


def _buffer_line(standing: CollectorStanding) -> str:
    if standing.buffer is None:
        return f"unknown: {standing.buffer_problem}"
    word = "on" if standing.buffer_enabled else "off (USAGE_ENABLE_BUFFER)"
    line = f"{word}, {standing.buffer.records} of {standing.buffer.capacity} records"
    return line + (f", the oldest for {standing.buffer.oldest_seconds} s" if standing.buffer.records else "")
