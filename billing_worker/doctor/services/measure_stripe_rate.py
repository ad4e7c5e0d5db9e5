"""Count the calls to Stripe in the services' logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing_worker.runtime.settings import Settings
from billing_worker.stack.read_logs import LogLine, read_logs
from billing_worker.stripe_gateway.budget import ENDPOINT_PER_SECOND, LIVE_PER_SECOND, TEST_PER_SECOND, Limits

WINDOW = timedelta(hours=1)
_LAST = timedelta(minutes=1)
_LINES = 1_000_000
_TOO_MANY = 429
_SECONDS = _LAST.total_seconds()

SEARCH_PER_SECOND = 20
METER_EVENTS_PER_SECOND = 1000


@dataclass(frozen=True, slots=True)
class StripeRate:
    """Calls in the logs. Units: per second, over the last minute and in the busiest second of the last hour."""

    calls_last_hour: int
    refused_last_hour: int
    per_second_now: float
    per_second_most: int


@dataclass(frozen=True, slots=True)
class StripeLimit:
    """One of Stripe's limits, and what of it we use at most. Source: Stripe documentation, “Rate limits”.

    Units: calls per second; `our_budget` is None where the call budget knows no bound of its own.
    """

    limit: str
    per_second: int
    our_budget: int | None


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
    ours = Limits.of(settings)
    overall = settings.stripe_rate_limit or (LIVE_PER_SECOND if settings.livemode else TEST_PER_SECOND)
    return [
        StripeLimit("all calls", overall, ours.overall),
        StripeLimit("one endpoint", max(ENDPOINT_PER_SECOND, settings.stripe_rate_limit), ours.endpoint),
        StripeLimit("search", SEARCH_PER_SECOND, None),
        StripeLimit("meter events", METER_EVENTS_PER_SECOND, None),
    ]


def _is_refused(line: LogLine) -> bool:
    return line.fields.get("status") == _TOO_MANY
