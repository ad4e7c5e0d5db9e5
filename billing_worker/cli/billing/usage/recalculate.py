"""Compute rollups anew."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts
from billing_worker.cli.billing.usage._spans import read_span, span_options

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import load_metrics, recalculate_usage
else:
    load_metrics, recalculate_usage = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("load_metrics", "recalculate_usage")
    )


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only this metric.")
@span_options
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    user: str,
    metric: str | None,
    month: str | None,
    period: str | None,
    start: date | None,
    end: date | None,
    as_json: bool,
) -> None:
    """Replace a user's rollups by what the raw records say; whole months, by default the current one.

    Quotas follow by themselves. Rollups are exact without it; it mends what somebody changed by hand.
    """
    metrics, zone = load_metrics.load_metrics(), load_command_settings(invocation).billing_timezone
    if metric is not None:
        metrics.get(metric)
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context):
        now = unit_of_work.now()
        span = read_span(month=month, period=period, start=start, end=end, now=now, zone=zone)
        with unit_of_work.transaction() as session:
            done = recalculate_usage.recalculate_usage(
                session, user_id=user, metric=metric, period=span, metrics=metrics, zone=zone, now=now
            )
    facts: dict[str, object] = {"user": user, "start": done.span.start, "end": done.span.end}
    facts |= {"buckets_before": done.buckets_before, "buckets": done.buckets, "differing_days": done.differing_days}
    show_facts(facts, as_json=as_json)
    if not done.differing_days:
        say("every day was right before")
