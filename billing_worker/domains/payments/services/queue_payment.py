"""Store a payment until an operator releases the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_worker.domains.payments.models import QueuedPayment
from billing_worker.domains.payments.states import QueueStatus


@dataclass(frozen=True, slots=True)
class StoredPayment:
    """Everything needed to make a payment later.

    Shape: `parameters` is {"operation", "path", "body", "parent_key", "retry_id"}, as `create_intent` takes them.
    """

    account_id: str
    payment_key: str
    customer_id: str
    invoice_id: str | None
    amount_minor: int | None
    currency: str | None
    parameters: Mapping[str, Any]


def queue_payment(session: Session, payment: StoredPayment, *, now: datetime) -> None:
    """Store a payment; one that is stored already stays as it is.

    Idempotent by: account and payment key, which becomes the intent's key.
    """
    session.execute(
        insert(QueuedPayment)
        .values(
            account_id=payment.account_id,
            payment_key=payment.payment_key,
            customer_id=payment.customer_id,
            invoice_id=payment.invoice_id,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            parameters=dict(payment.parameters),
            status=QueueStatus.QUEUED,
            queued_at=now,
            detail="",
        )
        .on_conflict_do_nothing(constraint="uq_billing_payment_queue")
    )
