"""When services were up: intervals, each extended in place by a heartbeat a minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

BILLING = "billing"
"""Beat, broker, a worker and PostgreSQL together: told by the tick."""

COLLECTOR = "usage-collector"
"""The worker of usage: told by its job of every minute."""

EVERY = timedelta(seconds=55)
SILENCE = timedelta(seconds=180)
"""Three missed minutes are an outage; less is a slow minute."""

_TELL = """
WITH extended AS (
    UPDATE billing.billing_service_heartbeats SET seen_at = :now
    WHERE service = :service AND instance = :instance AND seen_at BETWEEN :silent AND :stale
)
INSERT INTO billing.billing_service_heartbeats (service, instance, started_at, seen_at)
SELECT :service, :instance, :now, :now
WHERE NOT EXISTS (
    SELECT 1 FROM billing.billing_service_heartbeats
    WHERE service = :service AND instance = :instance AND seen_at >= :silent)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a service gave no sign."""

    service: str
    start: datetime
    end: datetime

    @property
    def lasted(self) -> timedelta:
        """Return how long it was."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Uptime:
    """One service in a span.

    Shape: `known_since` is its first sign ever or the span's start, whichever is later; before it nothing is known.
    """

    service: str
    known_since: datetime
    up: timedelta
    outages: Sequence[Outage]


def tell_alive(session: Session, service: str, *, instance: str, now: datetime) -> None:
    """Say that a service works; most calls of a minute write nothing."""
    parameters = {"silent": now - SILENCE, "stale": now - EVERY, "now": now}
    session.execute(text(_TELL), {**parameters, "service": service, "instance": instance})


def read_uptime(session: Session, *, start: datetime, end: datetime) -> list[Uptime]:
    """Return each service's outages between two instants; instances of a service stand in for each other."""
    statement = text(
        "SELECT service, started_at, seen_at, min(started_at) OVER (PARTITION BY service) "
        "FROM billing.billing_service_heartbeats WHERE started_at < :end ORDER BY service, started_at"
    )
    rows: dict[str, list[tuple[datetime, datetime]]] = {}
    first: dict[str, datetime] = {}
    for service, started_at, seen_at, first_at in session.execute(statement, {"end": end}):
        first[service] = first_at
        rows.setdefault(service, []).append((started_at, seen_at))
    return [_uptime(service, intervals, max(start, first[service]), end) for service, intervals in rows.items()]


def _uptime(service: str, intervals: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime) -> Uptime:
    outages: list[Outage] = []
    covered = start
    for started_at, seen_at in intervals:
        if started_at - covered > SILENCE:
            outages.append(Outage(service, covered, started_at))
        covered = max(covered, min(seen_at, end))
    if end - covered > SILENCE:
        outages.append(Outage(service, covered, end))
    down = sum((outage.lasted for outage in outages), timedelta())
    return Uptime(service, start, max(end - start, timedelta()) - down, outages)
