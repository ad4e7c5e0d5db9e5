"""Store the answer to one failed payment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_worker.domains.payments.models import PaymentRetry
from billing_worker.domains.payments.queries import count_failures, find_latest_failure, lock_open_retries
from billing_worker.domains.payments.rules import RetryPolicy, compute_decision
from billing_worker.domains.payments.states import RetryDecision, RetryStatus

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed payment of an invoice, as its event told it.

    Shape: `attempt_count` is Stripe's, which counts the first attempt and Stripe's own retries only.
    """

    account_id: str
    invoice_id: str
    failed_at: datetime
    attempt_count: int
    subscription_id: str | None
    customer_id: str | None
    amount_minor: int
    currency: str


def store_retry(session: Session, failure: Failure, *, policy: RetryPolicy, now: datetime) -> PaymentRetry | None:
    """Store a failure with its provisional plan and end the plans for earlier ones; None if a later one is known.

    The decline code is not in the invoice's event: the row is due at once, so that the collector reads it at Stripe.
    Idempotent by: account, invoice and the failure's instant. Locks: the invoice's open retries.
    """
    latest = find_latest_failure(session, failure.account_id, failure.invoice_id)
    if latest is not None and latest >= failure.failed_at:
        return None
    for earlier in lock_open_retries(session, failure.account_id, failure.invoice_id):
        earlier.status = RetryStatus.DECLINED if earlier.status is RetryStatus.TRYING else RetryStatus.CANCELED
        earlier.next_attempt_at = None
        earlier.finished_at = now
    known = count_failures(session, failure.account_id, failure.invoice_id, before=failure.failed_at)
    attempt_count = max(failure.attempt_count, known + 1)
    plan = compute_decision(
        policy,
        invoice_id=failure.invoice_id,
        attempt_count=attempt_count,
        failed_at=failure.failed_at,
        decline_code=None,
    )
    is_open = plan.decision is RetryDecision.RETRY
    stored = session.scalars(
        insert(PaymentRetry)
        .values(
            account_id=failure.account_id,
            invoice_id=failure.invoice_id,
            failed_at=failure.failed_at,
            attempt_count=attempt_count,
            subscription_id=failure.subscription_id,
            customer_id=failure.customer_id,
            amount_minor=failure.amount_minor,
            currency=failure.currency,
            decision=plan.decision,
            explanation=plan.explanation,
            due_at=plan.due_at,
            next_attempt_at=now if is_open else None,
            status=RetryStatus.WAITING if is_open else RetryStatus.GIVEN_UP,
            planned_at=now,
            finished_at=None if is_open else now,
        )
        .on_conflict_do_nothing(constraint="uq_billing_payment_retries")
        .returning(PaymentRetry)
    ).one_or_none()
    if stored is not None and not is_open:
        _log.warning("payment_retry_given_up", invoice_id=failure.invoice_id, attempt_count=attempt_count)
    return stored
