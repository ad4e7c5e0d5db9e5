"""Rows of this slice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base, EnumText
from billing_worker.domains.notifications.states import AttemptOutcome, MessageStatus, Template


class Message(Base):
    """One message about one thing that happened, for ever under one Message-ID.

    Shape: `recipient` is where it went, the only place outside the mirror that keeps an address; `attempts` counts
    conversations with the mail server.
    """

    __tablename__ = "billing_messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    effect_id: Mapped[int]
    message_id: Mapped[str]
    customer_id: Mapped[str | None]
    template: Mapped[Template] = mapped_column(EnumText(Template))
    recipient: Mapped[str | None]
    subject: Mapped[str]
    status: Mapped[MessageStatus] = mapped_column(EnumText(MessageStatus))
    attempts: Mapped[int] = mapped_column(SmallInteger)
    detail: Mapped[str]
    queued_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class MessageAttempt(Base):
    """One conversation with the mail server.

    Shape: `sending` until it has ended; `lease_until` is wall time, because a simulated clock may jump.
    """

    __tablename__ = "billing_message_attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int]
    attempt: Mapped[int] = mapped_column(SmallInteger)
    started_at: Mapped[datetime]
    lease_until: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[AttemptOutcome] = mapped_column(EnumText(AttemptOutcome))
    detail: Mapped[str]


class MessageBounce(Base):
    """One report that came back about a message; the same report counts once."""

    __tablename__ = "billing_message_bounces"

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int]
    report_digest: Mapped[str]
    received_at: Mapped[datetime]
    action: Mapped[str]
    status_code: Mapped[str]
    detail: Mapped[str]


class MailSuppression(Base):
    """An address that is not written to any more; only its digest is kept."""

    __tablename__ = "billing_mail_suppressions"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    address_digest: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[int]
    reason: Mapped[str]
    suppressed_at: Mapped[datetime]
