"""Show a user's usage."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing.usage._charts import check_plot, plot, sparkline
from billing_worker.cli.billing.usage._spans import read_span, span_options

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import load_metrics, show_timeline, show_usage
else:
    load_metrics, show_timeline, show_usage = (
        lazy_module(f"billing_worker.domains.usage.services.{name}")
        for name in ("load_metrics", "show_timeline", "show_usage")
    )


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only this metric.")
@span_options
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: FILE.png or .svg.")
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
    picture: Path | None,
    as_json: bool,
) -> None:
    """Show a user's usage in a span of local days (BILLING_TIMEZONE), by default the current month.

    `course` runs over the span by hours, days or months, from nothing to its highest.
    """
    check_plot(picture)
    metrics = load_metrics.load_metrics()
    zone = load_command_settings(invocation).billing_timezone
    with open_unit_of_work(invocation) as unit_of_work:
        span = read_span(month=month, period=period, start=start, end=end, now=unit_of_work.now(), zone=zone)
        with unit_of_work.transaction() as session:
            lines = show_usage.show_usage(
                session,
                user_id=user,
                metric_type=metric,
                period=span,
                metrics=metrics,
                zone=zone,
            )
            names = [line.metric for line in lines]
            timelines = {
                name: show_timeline.show_timeline(
                    session, user_id=user, metric_type=name, period=span, metrics=metrics, zone=zone
                )
                for name in names
            }
    if waiting := sum(line.waiting for line in lines):
        say(f"records not aggregated yet: {waiting}; `nself billing usage aggregate` adds them now")
    rows = [{"user": user, **asdict(line), "start": span.start, "end": span.end} for line in lines]
    if picture is not None:
        plot(picture, timelines, title=f"Usage of {user}", zone=zone)
        say(f"drawn: {picture}")
    if not as_json:
        courses = {name: sparkline([value for _, value in timeline]) for name, timeline in timelines.items()}
        rows = [row | {"course": courses[str(row["metric"])]} for row in rows]
    show_rows(rows, as_json=as_json, empty=f"no usage of user {user} is recorded")
