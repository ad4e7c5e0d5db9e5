"""Give a message that never went out another chance."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

_REARM = text(
    """
    UPDATE billing.billing_effects e
    SET status = 'pending', attempts = 0, next_attempt_at = :now, not_after = NULL, detail = '', finished_at = NULL
    FROM billing.billing_messages m
    WHERE m.effect_id = e.id AND e.account_id = '' AND e.effect_key = :key
      AND m.status IN ('suppressed', 'failed') AND e.status IN ('skipped', 'failed')
    """
)


def rearm_message(session: Session, effect_key: str, now: datetime) -> bool:
    """Queue a message that was suppressed or failed again, and say whether there was one.

    Shape: same effect, same Message-ID: no server ever took it. `not_after` goes, because somebody asks for it now.
    """
    rearmed = session.execute(_REARM, {"key": effect_key, "now": now})
    return bool(getattr(rearmed, "rowcount", 0))
