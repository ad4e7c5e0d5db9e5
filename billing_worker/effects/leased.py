"""Effects that cross the network: taken one by one under a lease, so that no row is locked while a server is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.effects.states import EffectStatus


@dataclass(frozen=True, slots=True)
class LeasedEffect:
    """One effect in the hands of one worker; `attempts` counts this one."""

    id: int
    account_id: str
    key: str
    kind: str
    customer_id: str | None
    payload: Mapping[str, Any]
    not_after: datetime | None
    attempts: int


_TAKE = text(
    """
    UPDATE billing.billing_effects
    SET status = 'running', attempts = attempts + 1, next_attempt_at = :lease_until
    WHERE id = (
        SELECT id FROM billing.billing_effects
        WHERE status = 'pending' AND kind = ANY(:kinds) AND next_attempt_at <= :now
        ORDER BY next_attempt_at, id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id, account_id, effect_key, kind, customer_id, payload, not_after, attempts
    """
)

_LOCK = text("SELECT status FROM billing.billing_effects WHERE id = :id FOR UPDATE")

_FINISH = text(
    "UPDATE billing.billing_effects SET status = :status, detail = :detail, finished_at = :now WHERE id = :id"
)

_POSTPONE = text(
    "UPDATE billing.billing_effects SET status = 'pending', detail = :detail, next_attempt_at = :due_at WHERE id = :id"
)


def take_next(session: Session, kinds: Sequence[str], *, lease: timedelta, now: datetime) -> LeasedEffect | None:
    """Mark the effect that is due longest as running and return it; whoever crashes leaves it so until the lease ends.

    Order: by due time, so that what was postponed does not hold back what is new.
    """
    row = session.execute(_TAKE, {"kinds": list(kinds), "now": now, "lease_until": now + lease}).one_or_none()
    return None if row is None else LeasedEffect(*row)


def lock_effect(session: Session, effect_id: int) -> EffectStatus:
    """Lock an effect and return its status."""
    return EffectStatus(session.execute(_LOCK, {"id": effect_id}).scalar_one())


def finish_effect(session: Session, effect_id: int, status: EffectStatus, detail: str, *, now: datetime) -> None:
    """End an effect."""
    session.execute(_FINISH, {"id": effect_id, "status": status.value, "detail": detail, "now": now})


def postpone_effect(session: Session, effect_id: int, detail: str, *, due_at: datetime) -> None:
    """Put an effect back to wait until an instant."""
    session.execute(_POSTPONE, {"id": effect_id, "detail": detail, "due_at": due_at})
