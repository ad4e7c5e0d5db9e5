"""What an effect kind's function looks like, and the claim that hands it its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

MAX_ATTEMPTS = 8
"""After the eighth failure an effect is `failed` and waits for an operator: some four hours of backoff."""

_FIRST_BACKOFF = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class DueEffect:
    """One effect that is due, as its function sees it."""

    id: int
    account_id: str
    key: str
    kind: str
    object_key: str
    customer_id: str | None
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class EffectOutcome:
    """How an effect ended; `detail` says in one sentence why it was skipped."""

    status: Literal["done", "skipped"]
    detail: str = ""


EffectFunction = Callable[[Session, DueEffect, datetime], EffectOutcome]
"""Performs a database-only effect within the session's transaction."""

_CLAIM = text(
    """
    SELECT id, account_id, effect_key, kind, object_key, customer_id, payload, created_at, attempts
    FROM billing.billing_effects
    WHERE status = 'pending' AND kind = ANY(:kinds) AND next_attempt_at <= :now
    ORDER BY id
    LIMIT :size
    FOR UPDATE SKIP LOCKED
    """
)


def claim_due(session: Session, kinds: Sequence[str], *, size: int, now: datetime) -> list[DueEffect]:
    """Lock the oldest due effects of some kinds for this transaction."""
    rows = session.execute(_CLAIM, {"kinds": list(kinds), "now": now, "size": size})
    return [DueEffect(*row) for row in rows]


def count_due(session: Session, kinds: Sequence[str], now: datetime) -> int:
    """Count due effects of some kinds, at most a hundred: enough to know that there is work."""
    statement = text(
        "SELECT count(*) FROM (SELECT 1 FROM billing.billing_effects "
        "WHERE status = 'pending' AND kind = ANY(:kinds) AND next_attempt_at <= :now LIMIT 100) due"
    )
    return int(session.execute(statement, {"kinds": list(kinds), "now": now}).scalar_one())


def backoff(attempts: int) -> timedelta:
    """Return the wait after the n-th failure: 30 s, doubling."""
    return _FIRST_BACKOFF * (1 << max(attempts - 1, 0))
