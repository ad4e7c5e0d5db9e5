"""Find times in which usage is missing."""

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
    from billing_worker.domains.usage.services import find_gaps
else:
    find_gaps = lazy_module("billing_worker.domains.usage.services.find_gaps")


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
    """Find hours without usage that the user's own rhythm of four weeks did expect; exit code 1 when metering broke.

    `no_usage`: services were up and others' usage arrived. `metering_broken`: a service was down, or nobody's usage
    arrived; `nself billing usage reconstruct --from-logs` brings back what was accepted and lost.
    """
    zone = load_command_settings(invocation).billing_timezone
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        span = read_span(month=month, period=period, start=start, end=end, now=now, zone=zone)
        with unit_of_work.transaction() as session:
            gaps = find_gaps.find_gaps(session, user_id=user, metric=metric, period=span, zone=zone, now=now)
    empty = f"no gap: the usage of user {user} keeps its rhythm, or has none yet"
    show_rows([asdict(gap) for gap in gaps], as_json=as_json, empty=empty)
    if broken := sum(gap.verdict == "metering_broken" for gap in gaps):
        raise DifferencesFound(f"metering was broken in {broken} of {len(gaps)} gaps")
