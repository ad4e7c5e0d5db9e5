"""Show when billing was down."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._moments import MOMENT, Moment, at
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.worker import uptime
else:
    uptime = lazy_module("billing_worker.worker.uptime")

DEFAULT = timedelta(days=7)


@click.command()
@click.option("--start", type=MOMENT, help="From then on, e.g. 2026-01-01 or 24h; default: 7 days.")
@click.option("--end", type=MOMENT, help="Until then; default: now.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, start: Moment | None, end: Moment | None, as_json: bool) -> None:
    """Show how long each service was up and every outage of over three minutes.

    `billing` stands for Beat, broker, a worker and PostgreSQL together. Nothing is known of the time before a service's
    first heartbeat.
    """
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        since, until = at(start, now) or now - DEFAULT, min(at(end, now) or now, now)
        if since >= until:
            raise click.UsageError("--start lies after --end; write for example --start 2026-01-01")
        with unit_of_work.transaction() as session:
            found = uptime.read_uptime(session, start=since, end=until)
    outages = [
        {"service": one.service, "start": one.start, "end": one.end, "lasted": one.lasted}
        for service in found
        for one in service.outages
    ]
    rows = [
        {
            "service": one.service,
            "known_since": one.known_since,
            "up": one.up,
            "up_percent": round(100 * one.up / (until - one.known_since), 3) if until > one.known_since else None,
            "outages": len(one.outages),
        }
        for one in found
    ]
    if as_json:
        show_facts({"start": since, "end": until, "services": rows, "outages": outages}, as_json=True)
        return
    show_rows(rows, as_json=False, empty="no heartbeat yet: services tell one a minute once they run")
    if outages:
        click.echo("")
        show_rows(outages, as_json=False)
