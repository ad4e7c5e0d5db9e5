"""Compare rollups with raw records."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._errors import DifferencesFound
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.usage._spans import read_span, span_options

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import compare_usage, load_metrics
else:
    compare_usage, load_metrics = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("compare_usage", "load_metrics")
    )


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@span_options
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    user: str,
    month: str | None,
    period: str | None,
    start: date | None,
    end: date | None,
    as_json: bool,
) -> None:
    """Set each day's raw records beside its rollup; exit code 1 when any differs.

    Records that wait for aggregation are counted as open: they are lag, no difference.
    """
    zone = load_command_settings(invocation).billing_timezone
    with open_unit_of_work(invocation) as unit_of_work:
        span = read_span(month=month, period=period, start=start, end=end, now=unit_of_work.now(), zone=zone)
        with unit_of_work.transaction() as session:
            days = compare_usage.compare_usage(
                session, user_id=user, span=span, metrics=load_metrics.load_metrics(), zone=zone
            )
    show_rows([asdict(day) for day in days], as_json=as_json, empty=f"no usage of user {user} in this span")
    if differing := sum(day.differs for day in days):
        raise DifferencesFound(f"{differing} of {len(days)} daily rollups differ from their records")
