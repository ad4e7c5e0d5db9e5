"""How the events of a batch end: one statement each for finished, waiting and parked ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.arrays import array_literal
from billing_worker.inbox.claim import ClaimedEvent
from billing_worker.inbox.states import EventStatus

MAX_ATTEMPTS = 8
"""After the eighth failure an event is `failed` and its object goes on."""

FETCH_DELAY = timedelta(seconds=3)
"""A fetch settles a second only if Stripe's clock has passed it by two seconds (version = Date - 1 s)."""

LONGEST_FETCH_DELAY = timedelta(minutes=1)
"""A second ahead of our clock is asked for all the same: the fetch itself finds out whether it is too early."""

_FIRST_BACKOFF = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Ending:
    """How one event ended."""

    event: ClaimedEvent
    status: EventStatus
    superseded: bool = False
    order_unproven: bool = False
    reason: str = ""
    detail: str = ""


_FINISH = text(
    """
    UPDATE billing.billing_webhook_events
    SET status = :status, superseded = :superseded, order_unproven = :unproven, reason = :reason, detail = :detail,
        finished_at = :now, next_attempt_at = NULL, applied_ms = :applied_ms,
        waited_ms = coalesce(waited_ms, least(greatest(
            extract(epoch FROM CAST(:now AS timestamptz) - received_at) * 1000, 0), 2147483647))
    WHERE id = ANY(CAST(:ids AS bigint[]))
    """
)

_PARK = text(
    """
    INSERT INTO billing.billing_parked_objects
        (object_key, lane, waits_for, parked_until, attempts, reason, detail, parked_at)
    VALUES (:object_key, :lane, :waits_for, :parked_until, :attempts, :reason, :detail, :now)
    ON CONFLICT (object_key) DO UPDATE
    SET waits_for = excluded.waits_for, parked_until = excluded.parked_until, attempts = excluded.attempts,
        reason = excluded.reason, detail = excluded.detail
    """
)


def finish_events(session: Session, endings: Sequence[Ending], now: datetime, *, applied_ms: int) -> None:
    """Store the endings of a batch, one statement for all that ended alike; nearly all were simply applied."""
    alike: dict[tuple[EventStatus, bool, bool, str, str], list[int]] = defaultdict(list)
    for ending in endings:
        outcome = (ending.status, ending.superseded, ending.order_unproven, ending.reason, ending.detail[:500])
        alike[outcome].append(ending.event.row_id)
    for (status, superseded, unproven, reason, detail), row_ids in alike.items():
        session.execute(
            _FINISH,
            {
                "now": now,
                "applied_ms": applied_ms,
                "ids": array_literal(row_ids),
                "status": status.value,
                "superseded": superseded,
                "unproven": unproven,
                "reason": reason,
                "detail": detail,
            },
        )


def read_parked(session: Session, object_keys: Sequence[str]) -> Mapping[str, tuple[int, str]]:
    """Return attempts and reason of those objects that were parked and are due again."""
    rows = session.execute(
        text("SELECT object_key, attempts, reason FROM billing.billing_parked_objects WHERE object_key = ANY(:keys)"),
        {"keys": list(object_keys)},
    )
    return {key: (attempts, reason) for key, attempts, reason in rows}


def unpark(session: Session, object_keys: Sequence[str]) -> None:
    """Forget that objects were parked: their events went through."""
    if object_keys:
        session.execute(
            text("DELETE FROM billing.billing_parked_objects WHERE object_key = ANY(:keys)"),
            {"keys": sorted(object_keys)},
        )


def park_for_fetch(session: Session, object_key: str, lane: int, now: datetime, *, second: datetime) -> None:
    """Let an object wait until Stripe was asked for its state."""
    session.execute(
        _PARK,
        {
            "object_key": object_key,
            "lane": lane,
            "waits_for": "fetch",
            "parked_until": min(max(now, second + FETCH_DELAY), now + LONGEST_FETCH_DELAY),
            "attempts": 1,
            "reason": "awaiting_fetch",
            "detail": f"several events at {second.isoformat()} and no proof of their order",
            "now": now,
        },
    )


def park_for_backoff(session: Session, event: ClaimedEvent, now: datetime, *, attempts: int, detail: str) -> None:
    """Let an object wait because one of its events failed."""
    session.execute(
        _PARK,
        {
            "object_key": event.object_key,
            "lane": event.lane,
            "waits_for": "backoff",
            "parked_until": now + _FIRST_BACKOFF * (1 << (attempts - 1)),
            "attempts": attempts,
            "reason": "event_failed",
            "detail": f"{event.event_id}: {detail}"[:500],
            "now": now,
        },
    )
    session.execute(
        text("UPDATE billing.billing_webhook_events SET attempts = :attempts, detail = :detail WHERE id = :id"),
        {"attempts": attempts, "detail": detail[:500], "id": event.row_id},
    )
