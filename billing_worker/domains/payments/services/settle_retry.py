"""End or postpone a retry according to what its call to Stripe achieved."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.payments.models import PaymentRetry
from billing_worker.domains.payments.queries import lock_retry
from billing_worker.domains.payments.states import OPEN_RETRIES, RetryDecision, RetryStatus
from billing_worker.effects.intents import IntentOutcome, IntentStatus

UNDER_WAY_WAIT = timedelta(hours=6)
"""A bank debit settles within days; its event ends the retry, this look is the second line."""

_log = structlog.get_logger(__name__)


def settle_retry(session: Session, retry_id: int, outcome: IntentOutcome, *, now: datetime) -> RetryStatus:
    """Write what became of a retry and return its status.

    A decline ends this row; the new `invoice.payment_failed` plans the next one.
    Locks: the retry.
    """
    retry = lock_retry(session, retry_id)
    if retry.status not in OPEN_RETRIES:
        return retry.status
    match outcome.status:
        case IntentStatus.SUCCEEDED if outcome.stripe_status == "paid":
            _end(retry, RetryStatus.RECOVERED, now)
        case IntentStatus.SUCCEEDED:
            retry.next_attempt_at = now + UNDER_WAY_WAIT
        case IntentStatus.DECLINED:
            retry.decline_code = outcome.decline_code or outcome.error_code
            _end(retry, RetryStatus.DECLINED, now)
        case IntentStatus.FAILED:
            # Refused without an attempt, most often because there is nothing to pay with.
            _wait_for_customer(retry, f"Stripe refused the payment: {outcome.detail}")
        case IntentStatus.PARKED:
            retry.explanation = f"an operator has to look: {outcome.detail}"
            retry.decision, retry.due_at = RetryDecision.GIVE_UP, None
            _end(retry, RetryStatus.GIVEN_UP, now)
        case _:
            retry.next_attempt_at = outcome.next_attempt_at
    _log.info("payment_retried", invoice_id=retry.invoice_id, outcome=outcome.status.value, status=retry.status.value)
    return retry.status


def _end(retry: PaymentRetry, status: RetryStatus, now: datetime) -> None:
    retry.status = status
    retry.next_attempt_at = None
    retry.finished_at = now


def _wait_for_customer(retry: PaymentRetry, explanation: str) -> None:
    retry.status = RetryStatus.WAITING
    retry.decision = RetryDecision.WAIT_FOR_CUSTOMER
    retry.explanation = explanation
    retry.due_at = retry.next_attempt_at = None
