"""Show a user's usage."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing.usage._spans import read_span, span_options

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import load_metrics, show_usage
else:
    load_metrics, show_usage = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("load_metrics", "show_usage")
    )


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only this metric.")
@span_options
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    user: str,
    metric: str | None,
    month: str | None,
    period: str | None,
    start: date | None,
    end: date | None,
    as_json: bool,
) -> None:
    """Show a user's usage in a span of local days (BILLING_TIMEZONE), by default the current month."""
    zone = load_command_settings(invocation).billing_timezone
    with open_unit_of_work(invocation) as unit_of_work:
        span = read_span(month=month, period=period, start=start, end=end, now=unit_of_work.now(), zone=zone)
        with unit_of_work.transaction() as session:
            lines = show_usage.show_usage(
                session,
                user_id=user,
                metric_type=metric,
                period=span,
                metrics=load_metrics.load_metrics(),
                zone=zone,
            )
    if waiting := sum(line.waiting for line in lines):
        say(f"records not aggregated yet: {waiting}; `nself billing usage aggregate` adds them now")
    rows = [{"user": user, **asdict(line), "start": span.start, "end": span.end} for line in lines]
    show_rows(rows, as_json=as_json, empty=f"no usage of user {user} is recorded")
