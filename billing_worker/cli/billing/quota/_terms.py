"""Reads the terms of a quota out of the words of `quota set`."""

from __future__ import annotations

import click

from billing_worker.domains.quotas.rules import QuotaTerms
from billing_worker.domains.quotas.states import Enforcement, FailMode
from billing_worker.kernel.periods import PeriodKind

ANYBODY = "*"
"""Stands for the user in a plan's terms, which are everybody's."""


def read_terms(
    *,
    user: str | None,
    price: str | None,
    metric: str,
    limit: int,
    period: str,
    hard: bool,
    alert_at: str,
    rollover: bool,
    fail_open: bool,
    count_both: bool,
) -> QuotaTerms:
    """Return the terms.

    Raises: click.UsageError when neither or both of user and price are named, or the percentages cannot be read.
    """
    if (user is None) == (price is None):
        raise click.UsageError(
            "name one of both: --user user123, or --price price_123 for everybody who subscribes to it"
        )
    try:
        percents = tuple(int(part) for part in alert_at.split(",") if part.strip())
    except ValueError:
        raise click.UsageError(f"--alert-at {alert_at!r} is no list of percentages; write for example 80,100") from None
    return QuotaTerms(
        user_id=user or ANYBODY,
        metric_type=metric,
        kind=PeriodKind(period),
        limit_value=limit,
        enforcement=Enforcement.HARD if hard else Enforcement.SOFT,
        rollover=rollover,
        fail_mode=FailMode.OPEN if fail_open else FailMode.CLOSED,
        alert_at_percent=percents,
        settles=not count_both,
    )
