"""Components, and how well one is."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Component(StrEnum):
    """What `nself billing health --component` takes."""

    DATABASE = "database"
    REDIS = "redis"
    WORKERS = "workers"
    SCHEDULES = "schedules"
    WEBHOOKS = "webhooks"
    USAGE = "usage"
    QUOTAS = "quotas"
    STRIPE = "stripe"


class Verdict(StrEnum):
    """ok; degraded: it works and somebody should look soon; failed: it does not do its work."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


def worst_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of several verdicts; ok for none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.OK)
