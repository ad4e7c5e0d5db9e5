"""Take back records that were sent twice."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option, reason_option
from billing_worker.cli._output import say, show_facts
from billing_worker.cli.billing.usage._spans import read_span, span_options

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import deduplicate_usage
else:
    deduplicate_usage = lazy_module("billing_worker.domains.usage.services.deduplicate_usage")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only this metric.")
@span_options
@reason_option
@dry_run_option
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
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write a record with the negative value against each surplus one; nothing is deleted.

    Surplus is what repeats user, metric, value and instant of a record of another call, without an idempotency key.
    `nself billing usage audit --check-duplicates` lists it.
    """
    zone = load_command_settings(invocation).billing_timezone
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        span = read_span(month=month, period=period, start=start, end=end, now=now, zone=zone)

        def take_back() -> deduplicate_usage.TakenBack:
            with unit_of_work.transaction() as session:
                return deduplicate_usage.deduplicate_usage(
                    session, user_id=user, metric=metric, period=span, is_dry_run=dry_run, now=now
                )

        if dry_run:
            done = take_back()
        else:
            with audited(unit_of_work, context, reason=reason):
                done = take_back()
    facts: dict[str, object] = {"user": user, "start": span.start, "end": span.end, "dry_run": dry_run}
    facts |= {"surplus_records": sum(len(one.surplus) for one in done.repeated), "surplus_units": done.units}
    facts |= {"taken_back": done.reversed_records, "adjusted_in_closed_periods": done.adjusted_records}
    show_facts(facts | {"groups": [asdict(one) for one in done.repeated]}, as_json=as_json)
    if done.reversed_records:
        say("rollups follow within a second; `nself billing usage aggregate` does it at once")
