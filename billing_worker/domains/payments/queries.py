"""What is stored of retries, queued payments and money movements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from billing_worker.domains.payments.models import PaymentRetry, QueuedPayment, Transaction
from billing_worker.domains.payments.states import OPEN_RETRIES, QueueStatus, RetryStatus
from billing_worker.effects.intents import ENDED, Intent, IntentStatus
from billing_worker.mirror.tables import table_of


def count_due_retries(session: Session, now: datetime) -> int:
    """Count retries that a worker has to look at now, at most a hundred."""
    due = _due_retries(now).with_only_columns(PaymentRetry.id).limit(100).subquery()
    return session.scalar(select(func.count()).select_from(due)) or 0


def claim_due_retries(session: Session, now: datetime, *, size: int) -> Sequence[PaymentRetry]:
    """Lock the retries that are due; what another worker has locked is left out."""
    return session.scalars(
        _due_retries(now).order_by(PaymentRetry.id).limit(size).with_for_update(skip_locked=True)
    ).all()


def lock_retry(session: Session, retry_id: int) -> PaymentRetry:
    """Lock one retry."""
    return session.scalars(select(PaymentRetry).where(PaymentRetry.id == retry_id).with_for_update()).one()


def lock_open_retries(session: Session, account_id: str, invoice_id: str) -> Sequence[PaymentRetry]:
    """Lock an invoice's retries that have not ended, oldest failure first."""
    return session.scalars(
        select(PaymentRetry)
        .where(
            PaymentRetry.account_id == account_id,
            PaymentRetry.invoice_id == invoice_id,
            PaymentRetry.status.in_(OPEN_RETRIES),
        )
        .order_by(PaymentRetry.id)
        .with_for_update()
    ).all()


def lock_waiting_retries(
    session: Session, account_id: str, customer_id: str, *, subscription_id: str | None, failed_before: datetime
) -> Sequence[PaymentRetry]:
    """Lock a customer's retries that wait and are not in the payment queue."""
    queued = select(QueuedPayment.invoice_id).where(
        QueuedPayment.account_id == account_id, QueuedPayment.status == QueueStatus.QUEUED
    )
    statement = (
        select(PaymentRetry)
        .where(
            PaymentRetry.account_id == account_id,
            PaymentRetry.customer_id == customer_id,
            PaymentRetry.status == RetryStatus.WAITING,
            PaymentRetry.failed_at <= failed_before,
            PaymentRetry.invoice_id.not_in(queued.where(QueuedPayment.invoice_id.is_not(None))),
        )
        .order_by(PaymentRetry.id)
        .with_for_update()
    )
    if subscription_id is not None:
        statement = statement.where(PaymentRetry.subscription_id == subscription_id)
    return session.scalars(statement).all()


def count_failures(session: Session, account_id: str, invoice_id: str, *, before: datetime) -> int:
    """Count an invoice's failures before an instant."""
    statement = (
        select(func.count())
        .select_from(PaymentRetry)
        .where(
            PaymentRetry.account_id == account_id,
            PaymentRetry.invoice_id == invoice_id,
            PaymentRetry.failed_at < before,
        )
    )
    return session.scalar(statement) or 0


def find_latest_failure(session: Session, account_id: str, invoice_id: str) -> datetime | None:
    """Return when an invoice's last known failure was."""
    return session.scalar(
        select(func.max(PaymentRetry.failed_at)).where(
            PaymentRetry.account_id == account_id, PaymentRetry.invoice_id == invoice_id
        )
    )


def find_invoice_status(session: Session, account_id: str, invoice_id: str) -> str | None:
    """Return an invoice's status according to the mirror."""
    invoices = table_of("invoice")
    return session.scalar(
        select(invoices.c.status).where(invoices.c.account_id == account_id, invoices.c.id == invoice_id)
    )


def list_failures(session: Session, *, customer_id: str | None = None, limit: int = 50) -> Sequence[PaymentRetry]:
    """Return failed payments, newest first."""
    statement = select(PaymentRetry).order_by(PaymentRetry.failed_at.desc(), PaymentRetry.id.desc()).limit(limit)
    if customer_id is not None:
        statement = statement.where(PaymentRetry.customer_id == customer_id)
    return session.scalars(statement).all()


def list_transactions(session: Session, *, customer_id: str | None = None, limit: int = 50) -> Sequence[Transaction]:
    """Return movements of money, newest first."""
    statement = select(Transaction).order_by(Transaction.occurred_at.desc(), Transaction.id.desc()).limit(limit)
    if customer_id is not None:
        charges = table_of("charge")
        # Refunds and disputes name no customer, their charge does.
        of_customer = select(charges.c.id).where(charges.c.customer_id == customer_id)
        statement = statement.where(or_(Transaction.customer_id == customer_id, Transaction.charge_id.in_(of_customer)))
    return session.scalars(statement).all()


def claim_queued_payments(session: Session, *, size: int, after_id: int) -> Sequence[QueuedPayment]:
    """Lock stored payments in the order in which they were stored."""
    return session.scalars(
        select(QueuedPayment)
        .where(QueuedPayment.status.in_((QueueStatus.QUEUED, QueueStatus.RELEASED)), QueuedPayment.id > after_id)
        .order_by(QueuedPayment.id)
        .limit(size)
        .with_for_update(skip_locked=True)
    ).all()


def list_failed_queue(session: Session, *, since: datetime | None = None, limit: int = 50) -> Sequence[QueuedPayment]:
    """Return stored payments that failed, newest first."""
    statement = (
        select(QueuedPayment)
        .where(QueuedPayment.status == QueueStatus.FAILED)
        .order_by(QueuedPayment.finished_at.desc(), QueuedPayment.id.desc())
        .limit(limit)
    )
    if since is not None:
        statement = statement.where(QueuedPayment.finished_at >= since)
    return session.scalars(statement).all()


def lock_queued_payment(session: Session, payment_id: int) -> QueuedPayment:
    """Lock one stored payment."""
    return session.scalars(select(QueuedPayment).where(QueuedPayment.id == payment_id).with_for_update()).one()


def count_queued_payments(session: Session) -> int:
    """Count stored payments that have not ended."""
    statement = (
        select(func.count())
        .select_from(QueuedPayment)
        .where(QueuedPayment.status.in_((QueueStatus.QUEUED, QueueStatus.RELEASED)))
    )
    return session.scalar(statement) or 0


def count_settled_releases(session: Session) -> int:
    """Count released payments whose intent has ended, at most a hundred."""
    settled = _settled_releases().with_only_columns(QueuedPayment.id).limit(100).subquery()
    return session.scalar(select(func.count()).select_from(settled)) or 0


def lock_settled_releases(session: Session) -> list[tuple[QueuedPayment, IntentStatus, str]]:
    """Lock released payments whose intent has ended, with the intent's status and detail."""
    rows = session.execute(
        _settled_releases().order_by(QueuedPayment.id).with_for_update(of=QueuedPayment, skip_locked=True)
    )
    return [(payment, status, detail) for payment, status, detail in rows]


def _settled_releases() -> Select[QueuedPayment, IntentStatus, str]:
    return (
        select(QueuedPayment, Intent.status, Intent.detail)
        .join(Intent, Intent.id == QueuedPayment.intent_id)
        .where(QueuedPayment.status == QueueStatus.RELEASED, Intent.status.in_(ENDED))
    )


def _due_retries(now: datetime) -> Select[PaymentRetry]:
    return select(PaymentRetry).where(
        PaymentRetry.status.in_(OPEN_RETRIES),
        PaymentRetry.next_attempt_at <= now,
    )
