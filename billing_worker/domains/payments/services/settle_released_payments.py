"""Give stored payments the outcome that their intents reached later."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.payments.queries import lock_settled_releases
from billing_worker.domains.payments.states import QueueStatus
from billing_worker.effects.intents import IntentStatus


def settle_released_payments(session: Session, *, now: datetime) -> int:
    """End the released payments whose intent has ended since, and count them.

    Locks: those payments.
    """
    settled = lock_settled_releases(session)
    for payment, intent_status, detail in settled:
        payment.status = QueueStatus.DONE if intent_status is IntentStatus.SUCCEEDED else QueueStatus.FAILED
        payment.detail = detail
        payment.finished_at = now
    return len(settled)
