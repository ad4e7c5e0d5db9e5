"""Take an intent back that certainly did nothing."""

from __future__ import annotations

from uuid import UUID

from billing_worker.changes.queries import get_intent, is_leased
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.effects.intents import IntentStatus


def withdraw_intent(unit_of_work: UnitOfWork, intent_id: UUID, *, why: str) -> bool:
    """End an intent whose only call is known not to have happened; say whether it could be taken back.

    Shape: pending, or calling after one attempt whose answer proved that nothing happened, which the caller knows.
    Locks: the intent's row; one that a worker has taken up meanwhile is left to it.
    """
    with unit_of_work.transaction() as session:
        intent = get_intent(session, intent_id, locked=True)
        is_untouched = intent.status is IntentStatus.PENDING and intent.attempts == 0
        is_first_attempt = intent.status is IntentStatus.CALLING and intent.attempts == 1 and intent.generation == 1
        if not (is_untouched or is_first_attempt) or is_leased(session, intent):
            return False
        intent.status = IntentStatus.FAILED
        intent.finished_at = unit_of_work.now()
        intent.detail = f"withdrawn, nothing was changed: {why}"[:500]
        return True
