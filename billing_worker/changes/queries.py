"""What is asked of intents and of the inbox while a change is made."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from billing_worker.changes.change import Change
from billing_worker.effects.intents import ENDED, Intent, IntentStatus
from billing_worker.kernel.errors import NotFoundError

OPEN = (IntentStatus.PENDING, IntentStatus.CALLING, IntentStatus.PARKED)


def list_ended(session: Session, change: Change) -> Sequence[Intent]:
    """Return the ended changes of the same operation about the same thing, oldest first."""
    return session.scalars(
        select(Intent)
        .where(
            Intent.account_id == change.account_id,
            Intent.parent_key == change.parent_key,
            Intent.operation == change.operation,
            Intent.status.in_(ENDED),
        )
        .order_by(Intent.created_at, Intent.id)
    ).all()


def is_under_way(session: Session, change: Change) -> bool:
    """Say whether a change of the same operation about the same thing was begun and has not ended."""
    query = select(Intent.id).where(
        Intent.account_id == change.account_id,
        Intent.parent_key == change.parent_key,
        Intent.operation == change.operation,
        Intent.status.not_in(ENDED),
    )
    return session.scalar(query.limit(1)) is not None


def get_intent(session: Session, intent_id: UUID, *, locked: bool = False) -> Intent:
    """Return one intent.

    Raises: NotFoundError.
    """
    query = select(Intent).where(Intent.id == intent_id)
    intent = session.scalars(query.with_for_update() if locked else query).one_or_none()
    if intent is None:
        raise NotFoundError(f"no intent {intent_id}: `nself billing intent list` shows those that are open or parked")
    return intent


def list_intents(session: Session, statuses: Sequence[IntentStatus], *, limit: int) -> Sequence[Intent]:
    """Return intents in some states, newest first."""
    query = select(Intent).where(Intent.status.in_(statuses)).order_by(Intent.created_at.desc(), Intent.id)
    return session.scalars(query.limit(limit)).all()


def is_leased(session: Session, intent: Intent) -> bool:
    """Say whether a worker is calling Stripe for an intent right now."""
    if intent.lease_until is None:
        return False
    return bool(session.scalar(select(func.clock_timestamp() < intent.lease_until)))


def get_row_standing(session: Session, row_id: int) -> tuple[int, str]:
    """Return lane and status of a stored snapshot."""
    lane, status = session.execute(
        text("SELECT lane, status FROM billing.billing_webhook_events WHERE id = :id"), {"id": row_id}
    ).one()
    return lane, status
