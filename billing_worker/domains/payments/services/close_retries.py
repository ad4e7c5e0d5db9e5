"""End an invoice's retries because the invoice itself has ended."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.payments.queries import lock_open_retries
from billing_worker.domains.payments.states import RetryStatus


def close_retries(session: Session, account_id: str, invoice_id: str, *, is_paid: bool, now: datetime) -> int:
    """Mark the open retries of an invoice as recovered, or as canceled when it was not paid, and count them.

    Locks: the invoice's open retries.
    """
    retries = lock_open_retries(session, account_id, invoice_id)
    for retry in retries:
        retry.status = RetryStatus.RECOVERED if is_paid else RetryStatus.CANCELED
        retry.next_attempt_at = None
        retry.finished_at = now
    return len(retries)
