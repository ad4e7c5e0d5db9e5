"""Decide about a failed payment once its decline code is known."""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.payments.queries import lock_retry
from billing_worker.domains.payments.rules import InvoiceStanding, RetryPolicy, compute_decision
from billing_worker.domains.payments.states import OPEN_RETRIES, RetryDecision, RetryStatus

_log = structlog.get_logger(__name__)


def inspect_failure(
    session: Session, retry_id: int, standing: InvoiceStanding, *, policy: RetryPolicy, now: datetime
) -> None:
    """Replace a provisional plan by the decision that the decline code calls for.

    Locks: the retry. Idempotent by: `inspected_at`.
    """
    retry = lock_retry(session, retry_id)
    if retry.status not in OPEN_RETRIES or retry.inspected_at is not None:
        return
    plan = compute_decision(
        policy,
        invoice_id=retry.invoice_id,
        attempt_count=retry.attempt_count,
        failed_at=retry.failed_at,
        decline_code=standing.decline_code,
    )
    retry.decline_code = standing.decline_code
    retry.decision = plan.decision
    retry.explanation = plan.explanation
    retry.due_at = retry.next_attempt_at = plan.due_at
    retry.inspected_at = now
    if plan.decision is RetryDecision.GIVE_UP:
        retry.status = RetryStatus.GIVEN_UP
        retry.finished_at = now
        _log.warning("payment_retry_given_up", invoice_id=retry.invoice_id, decline_code=retry.decline_code)
