"""Count the calls to Stripe in the services' logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing_worker.runtime.settings import Settings
from billing_worker.stack.read_logs import LogLine, read_logs

WINDOW = timedelta(hours=1)
_LAST = timedelta(minutes=1)
_LINES = 1_000_000
_TOO_MANY = 429
_SECONDS = _LAST.total_seconds()


@dataclass(frozen=True, slots=True)
class StripeRate:
    """Calls in the logs. Units: per second, over the last minute and in the busiest second of the last hour."""

    calls_last_hour: int
    refused_last_hour: int
    per_second_now: float
    per_second_most: int


@dataclass(frozen=True, slots=True)
class StripeLimit:
    """One of Stripe's limits. Source: Stripe documentation, “Rate limits”. Units: calls per second."""

    limit: str
    per_second: int


def measure_stripe_rate(environ: Mapping[str, str], now: datetime) -> StripeRate:
    """Count the calls to Stripe in the services' logs; `now` is wall time, as the logs' is."""
    lines = read_logs(environ, ("billing",), tail=_LINES, containing='"stripe_call"', since=now - WINDOW)
    calls = [line for line in lines if line.fields.get("event") == "stripe_call"]
    seconds = Counter(line.at.replace(microsecond=0) for line in calls)
    recent = sum(line.at >= now - _LAST for line in calls)
    return StripeRate(
        calls_last_hour=len(calls),
        refused_last_hour=sum(_is_refused(line) for line in calls),
        per_second_now=round(recent / _SECONDS, 2),
        per_second_most=max(seconds.values(), default=0),
    )


def list_stripe_limits(settings: Settings) -> list[StripeLimit]:
    """List Stripe's limits for this mode."""
    overall = 100 if settings.livemode else 25
    limits = (("all calls", overall), ("one endpoint", 25), ("search", 20), ("meter events", 1000))
    return [StripeLimit(name, per_second) for name, per_second in limits]


def _is_refused(line: LogLine) -> bool:
    return line.fields.get("status") == _TOO_MANY
