"""Wake every lane that has something due, whoever lost the wake-up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

_LANES = text(
    """
    SELECT lane FROM billing.billing_lanes lanes
    WHERE EXISTS (
        SELECT 1 FROM billing.billing_webhook_events pending
        WHERE pending.status = 'pending' AND pending.lane = lanes.lane
          AND (pending.next_attempt_at IS NULL OR pending.next_attempt_at <= :now)
          AND NOT EXISTS (
              SELECT 1 FROM billing.billing_parked_objects parked
              WHERE parked.object_key = pending.object_key
                AND (parked.parked_until > :now OR parked.waits_for = 'fetch')
          )
    )
    ORDER BY lane
    """
)


def list_due_lanes(session: Session, now: datetime) -> list[int]:
    """Return the lanes in which a drain would find something."""
    return list(session.execute(_LANES, {"now": now}).scalars())


def rescue_lanes(session: Session, now: datetime, *, wake: Callable[[int], bool]) -> int:
    """Wake the due lanes and return how many messages went out (lanes already woken are left alone)."""
    return sum(wake(lane) for lane in list_due_lanes(session, now))
