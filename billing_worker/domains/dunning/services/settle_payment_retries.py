"""End the chase for an invoice that has ended."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.payments.services.close_retries import close_retries
from billing_worker.effects.runner import DueEffect, EffectOutcome


def settle_payment_retries(session: Session, effect: DueEffect, now: datetime) -> EffectOutcome:
    """Mark an invoice's open retries as recovered, or as canceled when it was voided or written off.

    Idempotent by: the retries' own states.
    """
    told = effect.payload
    closed = close_retries(session, effect.account_id, told["invoice"], is_paid=told["is_paid"], now=now)
    return EffectOutcome("done", f"{closed} ended" if closed else "nothing was open")
