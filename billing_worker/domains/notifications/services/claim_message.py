"""Phase (a) of sending: take what is due longest, write it, and store that it is on its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.errors import MessageNotRenderableError
from billing_worker.domains.notifications.models import Message, MessageAttempt
from billing_worker.domains.notifications.queries import find_addressee, find_invoice_page, wall_time
from billing_worker.domains.notifications.rules import KINDS, split_sender
from billing_worker.domains.notifications.services.find_attachment import find_attachment
from billing_worker.domains.notifications.services.find_obstacle import Obstacle, find_obstacle
from billing_worker.domains.notifications.services.note_message import note_message
from billing_worker.domains.notifications.services.render_message import Reader, RenderedMessage, render_message
from billing_worker.domains.notifications.services.suppress_message import suppress_message
from billing_worker.domains.notifications.states import AttemptOutcome, MessageStatus
from billing_worker.effects.leased import LeasedEffect, finish_effect, postpone_effect, take_next
from billing_worker.effects.states import EffectStatus


@dataclass(frozen=True, slots=True)
class Office:
    """How mail is sent here.

    Units: `recipient_limit` messages to one address within an hour, 0 for any number; `lease` outlasts a conversation.
    """

    mail_from: str
    zone: ZoneInfo
    recipient_limit: int
    lease: timedelta


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way to the server: committed as such before the server hears of it."""

    message: Message
    attempt_id: int
    effect: LeasedEffect
    sender: str
    recipient: str
    email: EmailMessage


def claim_message(session: Session, office: Office, *, now: datetime) -> Letter | Message | None:
    """Take the next message; return a letter to send, a message that ended or waits without sending, or None.

    The address and the name are read from the mirror now and kept in the message's row alone.
    Locks: the effect, until the caller commits; then its lease keeps others away.
    """
    effect = take_next(session, KINDS, lease=office.lease, now=now)
    if effect is None:
        return None
    sender_name, sender = split_sender(office.mail_from)
    message = note_message(session, effect, sender=sender, now=now)
    addressee = find_addressee(session, effect.account_id, effect.customer_id)
    obstacle = find_obstacle(session, effect, addressee, recipient_limit=office.recipient_limit, now=now)
    if obstacle is not None or addressee is None or addressee.address is None:
        return _stop(session, message, obstacle or Obstacle("there is nobody to write to"), now)
    attachment = find_attachment(session, effect)
    if isinstance(attachment, timedelta):
        return _stop(session, message, Obstacle("its PDF is not rendered yet", now + attachment), now)
    page = find_invoice_page(session, effect.account_id, effect.payload.get("invoice"))
    reader = Reader(addressee.name, sender_name, page, office.zone)
    try:
        rendered = render_message(message.template, {**effect.payload, "has_pdf": attachment is not None}, reader)
    except MessageNotRenderableError as error:
        message.status, message.detail = MessageStatus.FAILED, str(error)
        finish_effect(session, effect.id, EffectStatus.FAILED, message.detail, now=now)
        return message
    message.recipient, message.subject = addressee.address, rendered.subject
    message.attempts += 1
    attempt = _begin_attempt(session, message, office.lease, now)
    email = _address(rendered, message, Address(sender_name, addr_spec=sender), now)
    if attachment is not None:
        email.add_attachment(attachment.body, maintype="application", subtype="pdf", filename=attachment.name)
    return Letter(message, attempt.id, effect, sender, addressee.address, email)


def _stop(session: Session, message: Message, obstacle: Obstacle, now: datetime) -> Message:
    if obstacle.until is None:
        suppress_message(session, message, obstacle.why, now=now)
    else:
        message.detail = obstacle.why
        postpone_effect(session, message.effect_id, obstacle.why, due_at=obstacle.until)
    return message


def _begin_attempt(session: Session, message: Message, lease: timedelta, now: datetime) -> MessageAttempt:
    attempt = MessageAttempt(
        message_id=message.id,
        attempt=message.attempts,
        started_at=now,
        lease_until=wall_time(session) + lease,
        outcome=AttemptOutcome.SENDING,
        detail="",
    )
    session.add(attempt)
    session.flush()
    return attempt


def _address(rendered: RenderedMessage, message: Message, sender: Address, now: datetime) -> EmailMessage:
    email = EmailMessage()
    email["From"] = sender
    email["To"] = message.recipient
    email["Subject"] = rendered.subject
    email["Date"] = format_datetime(now)
    email["Message-ID"] = message.message_id
    # no out-of-office answers, please (RFC 3834)
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(rendered.text)
    email.add_alternative(rendered.html, subtype="html")
    return email
