"""What is stored of messages, and what the mirror says about who reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, DateTime, func, select, text
from sqlalchemy.orm import Session

from billing_worker.domains.notifications.errors import MessageNotFoundError
from billing_worker.domains.notifications.models import MailSuppression, Message, MessageAttempt
from billing_worker.domains.notifications.states import AttemptOutcome, Template
from billing_worker.mirror.tables import table_of

ACTIVE = ("active", "trialing", "past_due", "unpaid", "paused")
"""States of subscriptions that are not over; `incomplete` ones never began."""

MESSAGE_PREFIX = "msg_"

_INTERRUPTED = (
    "SELECT a.id FROM billing.billing_message_attempts a "
    "JOIN billing.billing_messages m ON m.id = a.message_id "
    "JOIN billing.billing_effects e ON e.id = m.effect_id "
    "WHERE a.outcome = 'sending' AND a.lease_until <= clock_timestamp() AND e.status = 'running' "
)


@dataclass(frozen=True, slots=True)
class Addressee:
    """A customer as the mirror has him."""

    address: str | None
    name: str | None
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What is planned for a message."""

    effect_key: str
    event_id: str | None
    effect_status: str
    next_attempt_at: datetime | None


def wall_time(session: Session) -> datetime:
    """Return the database's own time, which no simulation moves."""
    return session.scalars(select(func.clock_timestamp(type_=DateTime(timezone=True)))).one()


def find_addressee(session: Session, account_id: str, customer_id: str | None) -> Addressee | None:
    """Return a customer's address and name."""
    customers = table_of("customer")
    row = session.execute(
        select(customers.c.email, customers.c.name, customers.c.deleted_at).where(
            customers.c.account_id == account_id, customers.c.id == customer_id
        )
    ).one_or_none()
    return None if row is None else Addressee(row.email, row.name, row.deleted_at is not None)


def find_invoice_page(session: Session, account_id: str, invoice_id: str | None) -> str | None:
    """Return where an invoice can be seen and paid."""
    invoices = table_of("invoice")
    return session.scalar(
        select(invoices.c.data["hosted_invoice_url"].astext).where(
            invoices.c.account_id == account_id, invoices.c.id == invoice_id
        )
    )


def find_message_of(session: Session, effect_id: int) -> Message | None:
    """Return an effect's message."""
    return session.scalars(select(Message).where(Message.effect_id == effect_id)).one_or_none()


def find_message_by_id(session: Session, message_id: str) -> Message | None:
    """Return the message that went out under a Message-ID."""
    return session.scalars(select(Message).where(Message.message_id == message_id)).first()


def find_suppression(session: Session, account_id: str, digest: str) -> MailSuppression | None:
    """Return why an address is not written to."""
    return session.get(MailSuppression, (account_id, digest))


def list_known_customers(session: Session, customer_ids: Sequence[str]) -> list[str]:
    """Return those of some customers that the mirror has and that were not deleted, in their order."""
    customers = table_of("customer")
    found = set(
        session.scalars(
            select(customers.c.id).where(
                customers.c.account_id == "", customers.c.id.in_(customer_ids), customers.c.deleted_at.is_(None)
            )
        )
    )
    return [customer_id for customer_id in customer_ids if customer_id in found]


def list_active_customers(session: Session) -> list[str]:
    """Return the customers who have a subscription that is not over."""
    subscriptions = table_of("subscription")
    return list(
        session.scalars(
            select(subscriptions.c.customer_id)
            .where(
                subscriptions.c.account_id == "",
                subscriptions.c.deleted_at.is_(None),
                subscriptions.c.status.in_(ACTIVE),
                subscriptions.c.customer_id.is_not(None),
            )
            .distinct()
            .order_by(subscriptions.c.customer_id)
        )
    )


def count_told(session: Session, effect_keys: Sequence[str]) -> int:
    """Count the effects of some keys."""
    counted = text("SELECT count(*) FROM billing.billing_effects WHERE account_id = '' AND effect_key = ANY(:keys)")
    return int(session.execute(counted, {"keys": list(effect_keys)}).scalar_one())


def list_suppressions(session: Session, *, limit: int) -> Sequence[tuple[MailSuppression, Message]]:
    """Return the addresses that are not written to, each with the message that came back, newest first."""
    found = session.execute(
        select(MailSuppression, Message)
        .join(Message, Message.id == MailSuppression.message_id)
        .order_by(MailSuppression.suppressed_at.desc(), Message.id.desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in found]


def find_room(session: Session, address: str, *, limit: int, since: datetime) -> datetime | None:
    """Return when the message went out that has to leave the window before another may go, None if there is room."""
    if limit == 0:
        return None
    recent = (
        select(Message.sent_at)
        .where(func.lower(Message.recipient) == address.lower(), Message.sent_at > since)
        .order_by(Message.sent_at.desc())
        .limit(1)
        .offset(limit - 1)
    )
    return session.scalar(recent)


def get_attempt(session: Session, attempt_id: int) -> tuple[Message, MessageAttempt]:
    """Return an attempt and its message."""
    found = session.execute(
        select(Message, MessageAttempt)
        .join(MessageAttempt, MessageAttempt.message_id == Message.id)
        .where(MessageAttempt.id == attempt_id)
    ).one()
    return found[0], found[1]


def count_attempts(session: Session, message_id: int, outcome: AttemptOutcome) -> int:
    """Count a message's attempts that ended in one way."""
    statement = (
        select(func.count())
        .select_from(MessageAttempt)
        .where(MessageAttempt.message_id == message_id, MessageAttempt.outcome == outcome)
    )
    return session.scalar(statement) or 0


def count_interrupted(session: Session) -> int:
    """Count attempts whose lease is over, at most a hundred."""
    counted = text(f"SELECT count(*) FROM ({_INTERRUPTED} LIMIT 100) cut_off")  # noqa: S608 - constant text
    return int(session.execute(counted).scalar_one())


def lock_interrupted(session: Session) -> list[tuple[Message, MessageAttempt]]:
    """Lock the effects of attempts whose lease is over, and return these with their messages."""
    locked = text(f"{_INTERRUPTED} ORDER BY e.id LIMIT 100 FOR UPDATE OF e SKIP LOCKED")
    return [get_attempt(session, attempt_id) for attempt_id in session.scalars(locked).all()]


def list_messages(
    session: Session, *, about: str | None = None, customer_id: str | None = None, limit: int = 50
) -> Sequence[Message]:
    """Return messages, newest first; `about` is a template or the family that its first word names."""
    statement = select(Message).order_by(Message.id.desc()).limit(limit)
    if about is not None:
        wanted = [template for template in Template if template == about or template.partition("_")[0] == about]
        statement = statement.where(Message.template.in_(wanted))
    if customer_id is not None:
        statement = statement.where(Message.customer_id == customer_id)
    return session.scalars(statement).all()


def get_message(session: Session, asked: str) -> Message:
    """Return the message of a number, `msg_` before it or not, or of a Message-ID.

    Raises: MessageNotFoundError.
    """
    message = session.scalars(select(Message).where(_named(asked))).first()
    if message is None:
        raise MessageNotFoundError(asked)
    return message


def list_attempts(session: Session, message_id: int) -> Sequence[MessageAttempt]:
    """Return a message's attempts in their order."""
    return session.scalars(
        select(MessageAttempt).where(MessageAttempt.message_id == message_id).order_by(MessageAttempt.attempt)
    ).all()


def get_standing(session: Session, message: Message) -> Standing:
    """Return what caused a message and when it is looked at again."""
    row = session.execute(
        text(
            "SELECT f.effect_key, e.event_id, f.status, "
            "CASE WHEN f.status = 'pending' THEN f.next_attempt_at END "
            "FROM billing.billing_effects f LEFT JOIN billing.billing_webhook_events e ON e.id = f.event_row_id "
            "WHERE f.id = :id"
        ),
        {"id": message.effect_id},
    ).one()
    return Standing(*row)


def _named(asked: str) -> ColumnElement[bool]:
    number = asked.removeprefix(MESSAGE_PREFIX)
    if re.fullmatch(r"\d{1,18}", number):
        return Message.id == int(number)
    return Message.message_id == (asked if asked.startswith("<") else f"<{asked}>")
