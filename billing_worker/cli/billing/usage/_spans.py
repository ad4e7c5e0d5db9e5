"""Options that name a span of local days, the same in every usage command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from billing_worker.cli._durations import DAY
from billing_worker.domains.usage.rules import span_of_days, span_of_words
from billing_worker.kernel.periods import Period

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--month", metavar="YYYY-MM", help="A month, e.g. 2026-01."),
    click.option("--period", metavar="SPAN", help="2026-01, 2026-01-15, or the current day, week or month."),
    click.option("--start", type=DAY, help="First day, e.g. 2026-01-01."),
    click.option("--end", type=DAY, help="Last day, included; default: today."),
)


def span_options(function: Function) -> Function:
    """Give a command --month, --period, --start and --end."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def read_span(
    *, month: str | None, period: str | None, start: date | None, end: date | None, now: datetime, zone: ZoneInfo
) -> Period:
    """Return the span that the options name; the current month when they name none.

    Raises: click.UsageError when they contradict each other; InvalidUsageError for a value that cannot be read.
    """
    if sum(given is not None for given in (month, period, start or end)) > 1:
        raise click.UsageError("name the span once: --month, --period, or --start with --end")
    if start is not None:
        return span_of_days(start, end or now.astimezone(zone).date(), zone)
    if end is not None:
        raise click.UsageError("--end needs --start, for example --start 2026-01-01 --end 2026-01-31")
    return span_of_words(month or period or "month", now, zone)
