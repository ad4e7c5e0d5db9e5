"""Make waiting retries due at once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.payments.queries import lock_waiting_retries
from billing_worker.domains.payments.states import RetryDecision


def hasten_retries(
    session: Session,
    account_id: str,
    customer_id: str,
    *,
    subscription_id: str | None,
    failed_before: datetime,
    now: datetime,
) -> int:
    """Make a customer's waiting retries due now, whatever their decline called for, and count them.

    Shape: `subscription_id` narrows them to the invoices of one subscription.
    Locks: those retries.
    """
    retries = lock_waiting_retries(
        session, account_id, customer_id, subscription_id=subscription_id, failed_before=failed_before
    )
    for retry in retries:
        retry.decision = RetryDecision.RETRY
        retry.explanation = "the customer gave another payment method: trying again at once"
        retry.due_at = retry.next_attempt_at = now
        # The decline was the old method's: it decides nothing any more, nor does a call that Stripe refused for it.
        retry.inspected_at = now
        retry.intent_id = None
    return len(retries)
