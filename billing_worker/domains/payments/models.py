"""Rows of this slice."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base, EnumText
from billing_worker.domains.payments.states import QueueStatus, RetryDecision, RetryStatus, TransactionKind


class PaymentRetry(Base):
    """The answer to one failed payment of an invoice.

    Shape: `failed_at` names the failure; `attempt_count` is its ordinal. `due_at` is the plan, `next_attempt_at` when a
    worker looks at the row again: at once to learn the decline (`inspected_at` is null until then), later to collect.
    """

    __tablename__ = "billing_payment_retries"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    invoice_id: Mapped[str]
    failed_at: Mapped[datetime]
    attempt_count: Mapped[int] = mapped_column(Integer)
    subscription_id: Mapped[str | None]
    customer_id: Mapped[str | None]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    decline_code: Mapped[str | None]
    decision: Mapped[RetryDecision] = mapped_column(EnumText(RetryDecision))
    explanation: Mapped[str]
    due_at: Mapped[datetime | None]
    inspected_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    status: Mapped[RetryStatus] = mapped_column(EnumText(RetryStatus))
    intent_id: Mapped[UUID | None] = mapped_column(Uuid)
    planned_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class QueuedPayment(Base):
    """A payment that waits for `nself billing process-queue`, with everything needed to make it."""

    __tablename__ = "billing_payment_queue"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    payment_key: Mapped[str]
    customer_id: Mapped[str]
    invoice_id: Mapped[str | None]
    amount_minor: Mapped[int | None]
    currency: Mapped[str | None]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[QueueStatus] = mapped_column(EnumText(QueueStatus))
    intent_id: Mapped[UUID | None] = mapped_column(Uuid)
    queued_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    detail: Mapped[str]


class Transaction(Base):
    """One movement of money at Stripe, recorded once."""

    __tablename__ = "billing_transactions"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    transaction_key: Mapped[str]
    kind: Mapped[TransactionKind] = mapped_column(EnumText(TransactionKind))
    stripe_id: Mapped[str]
    charge_id: Mapped[str | None]
    payment_intent_id: Mapped[str | None]
    customer_id: Mapped[str | None]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    livemode: Mapped[bool]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
