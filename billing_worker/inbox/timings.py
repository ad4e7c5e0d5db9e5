"""How long events take, stage by stage: Stripe's delivery, the wait in the inbox, the batch that applies them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.inbox.states import HAPPENED


@dataclass(frozen=True, slots=True)
class Timing:
    """How long finished events took.

    Units: `delivered` is Stripe's creation to our receipt, `waited` receipt to first finish, `applied` the transaction
    of the event's batch.
    """

    type: str
    events: int
    delivered_p50_ms: float
    delivered_p99_ms: float
    waited_p50_ms: float
    waited_p95_ms: float
    waited_p99_ms: float
    waited_max_ms: int
    applied_p50_ms: float
    applied_p95_ms: float
    applied_p99_ms: float


@dataclass(frozen=True, slots=True)
class SlowEvent:
    """One event that took long.

    Units: as in Timing; `waited_ms` of a pending event is what it has waited so far.
    """

    event_id: str
    type: str
    object: str
    status: str
    received: datetime
    delivered_ms: int
    waited_ms: int
    applied_ms: int | None
    attempts: int
    reason: str


_DELIVERED = "greatest(extract(epoch FROM received_at - created) * 1000, 0)"


def _share(share: float, measure: str) -> str:
    return f"round((percentile_cont({share}) WITHIN GROUP (ORDER BY {measure}))::numeric, 1)::float8"


_TIMINGS = text(
    f"""
    SELECT coalesce(type, 'all'), count(*), {_share(0.5, _DELIVERED)}, {_share(0.99, _DELIVERED)},
           {_share(0.5, "waited_ms")}, {_share(0.95, "waited_ms")}, {_share(0.99, "waited_ms")}, max(waited_ms),
           {_share(0.5, "applied_ms")}, {_share(0.95, "applied_ms")}, {_share(0.99, "applied_ms")}
    FROM billing.billing_webhook_events
    WHERE received_at >= :since AND waited_ms IS NOT NULL AND applied_ms IS NOT NULL AND source = ANY(:happened)
    GROUP BY GROUPING SETS ((), (type)) HAVING count(*) > 0
    ORDER BY grouping(type) DESC, {_share(0.99, "waited_ms")} DESC, 1 LIMIT :limit
    """  # noqa: S608 - constants of this module
)

_SLOW = text(
    f"""
    SELECT * FROM (
        SELECT event_id, type, object_id AS object, status, received_at AS received,
               {_DELIVERED}::bigint AS delivered_ms,
               coalesce(waited_ms, extract(epoch FROM CAST(:now AS timestamptz) - received_at) * 1000)::bigint
                   AS waited_ms,
               applied_ms, attempts, reason
        FROM billing.billing_webhook_events
        WHERE received_at >= :since AND (waited_ms IS NOT NULL OR status = 'pending')
    ) timed
    WHERE waited_ms >= :threshold_ms OR applied_ms >= :threshold_ms
    ORDER BY greatest(waited_ms, applied_ms) DESC, event_id LIMIT :limit
    """  # noqa: S608 - constants of this module
)


def list_timings(session: Session, *, since: datetime, limit: int) -> list[Timing]:
    """Return timings of Stripe's events over everything (first, type “all”) and per type, the slowest type first."""
    happened = sorted(source.value for source in HAPPENED)
    return [Timing(*row) for row in session.execute(_TIMINGS, {"since": since, "happened": happened, "limit": limit})]


def list_slow(session: Session, *, threshold: timedelta, since: datetime, now: datetime, limit: int) -> list[SlowEvent]:
    """Return events and snapshots that took a threshold or longer, the slowest first."""
    threshold_ms = threshold.total_seconds() * 1000
    given = {"threshold_ms": threshold_ms, "since": since, "now": now, "limit": limit}
    return [SlowEvent(**row) for row in session.execute(_SLOW, given).mappings()]
