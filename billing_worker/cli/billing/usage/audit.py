"""Show raw records."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._durations import DAY
from billing_worker.cli._errors import DifferencesFound
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing.usage._spans import read_span, span_options

if TYPE_CHECKING:
    from billing_worker.domains.usage.queries import records
else:
    records = lazy_module("billing_worker.domains.usage.queries.records")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only this metric.")
@click.option("--date", "day", type=DAY, help="One day, e.g. 2026-01-15.")
@span_options
@click.option("--check-duplicates", is_flag=True, help="Only records that may have been counted twice.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Records at most.")
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    user: str,
    metric: str | None,
    day: date | None,
    month: str | None,
    period: str | None,
    start: date | None,
    end: date | None,
    check_duplicates: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show a user's raw records, one by one, with who sent them and whether the rollups have them.

    With --check-duplicates: records without a key that repeat user, metric, value and instant; exit code 1 when another
    call repeats one. Those of one call (no surplus) may be meant so.
    """
    zone = load_command_settings(invocation).billing_timezone
    words = day.isoformat() if day is not None else period
    with open_unit_of_work(invocation) as unit_of_work:
        span = read_span(month=month, period=words, start=start, end=end, now=unit_of_work.now(), zone=zone)
        with unit_of_work.transaction() as session:
            if not check_duplicates:
                found = records.list_records(session, user, metric, span, limit=limit + 1)
                show_rows([asdict(one) for one in found[:limit]], as_json=as_json, empty=f"no records of user {user}")
                if len(found) > limit:
                    say(f"there are more than {limit}; add --limit, --metric or --date")
                return
            repeated = records.list_repeated(session, user, metric, span)
    show_rows([asdict(one) for one in repeated], as_json=as_json, empty="nothing was counted twice")
    if surplus := sum(len(one.surplus) for one in repeated):
        raise DifferencesFound(f"{surplus} records repeat others; nself billing usage deduplicate takes them back")
