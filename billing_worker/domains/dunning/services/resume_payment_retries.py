"""Try again at once what a new payment method may mend."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.payments.services.hasten_retries import hasten_retries
from billing_worker.effects.runner import DueEffect, EffectOutcome
from billing_worker.kernel.clock import from_unix


def resume_payment_retries(session: Session, effect: DueEffect, now: datetime) -> EffectOutcome:
    """Make the customer's waiting retries due that failed before the payment method changed.

    Idempotent by: the effect's row; a failure after the change is another one's business.
    """
    if effect.customer_id is None:
        return EffectOutcome("skipped", "the event names no customer")
    hastened = hasten_retries(
        session,
        effect.account_id,
        effect.customer_id,
        subscription_id=effect.payload["subscription"],
        failed_before=from_unix(effect.payload["changed_at"]),
        now=now,
    )
    return EffectOutcome("done", f"{hastened} due now" if hastened else "nothing waited")
