"""What is stored of intents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from billing_worker.effects.intents import Intent, IntentStatus


def count_open_intents(session: Session, now: datetime) -> int:
    """Count intents that nobody holds and whose call is due again, at most a hundred."""
    due = _open(now).limit(100).subquery()
    return session.scalar(select(func.count()).select_from(due)) or 0


def list_open_intents(session: Session, now: datetime, *, size: int) -> Sequence[UUID]:
    """Return the oldest intents that nobody holds and whose call is due again."""
    return session.scalars(_open(now).order_by(Intent.next_attempt_at, Intent.id).limit(size)).all()


def find_intent(session: Session, account_id: str, intent_key: str) -> Intent | None:
    """Return an intent by its key."""
    return session.scalars(
        select(Intent).where(Intent.account_id == account_id, Intent.intent_key == intent_key)
    ).one_or_none()


def list_parked_intents(session: Session, *, limit: int = 100) -> Sequence[Intent]:
    """Return the intents that wait for an operator, oldest first."""
    return session.scalars(
        select(Intent).where(Intent.status == IntentStatus.PARKED).order_by(Intent.created_at).limit(limit)
    ).all()


def _open(now: datetime) -> Select[UUID]:
    return select(Intent.id).where(
        Intent.status.in_((IntentStatus.PENDING, IntentStatus.CALLING)),
        Intent.next_attempt_at <= now,
        or_(Intent.lease_until.is_(None), Intent.lease_until < func.clock_timestamp()),
    )
