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
from billing_worker.domains.notifications.queries import Addressee, find_addressee, find_invoice_page, wall_time
from billing_worker.domains.notifications.rules import (
    CUSTOMER_ATTEMPTS,
    KINDS,
    check_recipient,
    split_sender,
    wait_after,
)
from billing_worker.domains.notifications.services.note_message import note_message
from billing_worker.domains.notifications.services.render_message import Reader, RenderedMessage, render_message
from billing_worker.domains.notifications.services.suppress_message import suppress_message
from billing_worker.domains.notifications.states import AttemptOutcome, MessageStatus
from billing_worker.effects.leased import LeasedEffect, finish_effect, postpone_effect, take_next
from billing_worker.effects.states import EffectStatus


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way to the server: committed as such before the server hears of it."""

    message: Message
    attempt_id: int
    effect: LeasedEffect
    sender: str
    recipient: str
    email: EmailMessage


def claim_message(
    session: Session, *, mail_from: str, zone: ZoneInfo, lease: timedelta, now: datetime
) -> Letter | Message | None:
    """Take the next message; return a letter to send, a message that ended or waits without sending, or None.

    The address and the name are read from the mirror now and kept in the message's row alone.
    Locks: the effect, until the caller commits; then its lease keeps others away.
    """
    effect = take_next(session, KINDS, lease=lease, now=now)
    if effect is None:
        return None
    sender_name, sender = split_sender(mail_from)
    message = note_message(session, effect, sender=sender, now=now)
    addressee = find_addressee(session, effect.account_id, effect.customer_id)
    why_not = _check_due(effect, addressee, now)
    if why_not is not None:
        suppress_message(session, message, why_not, now=now)
        return message
    if addressee is None or addressee.address is None:
        message.detail = "the customer is not in the mirror yet"
        postpone_effect(session, effect.id, message.detail, due_at=now + wait_after(effect.attempts))
        return message
    page = find_invoice_page(session, effect.account_id, effect.payload.get("invoice"))
    reader = Reader(addressee.name, sender_name, page, zone)
    try:
        rendered = render_message(message.template, effect.payload, reader)
    except MessageNotRenderableError as error:
        message.status, message.detail = MessageStatus.FAILED, str(error)
        finish_effect(session, effect.id, EffectStatus.FAILED, message.detail, now=now)
        return message
    message.recipient, message.subject = addressee.address, rendered.subject
    message.attempts += 1
    attempt = _begin_attempt(session, message, lease, now)
    email = _address(rendered, message, Address(sender_name, addr_spec=sender), now)
    return Letter(message, attempt.id, effect, sender, addressee.address, email)


def _check_due(effect: LeasedEffect, addressee: Addressee | None, now: datetime) -> str | None:
    if effect.not_after is not None and effect.not_after < now:
        return "came after its time"
    if effect.customer_id is None:
        return "it concerns no customer"
    if addressee is not None:
        return check_recipient(addressee.address, is_deleted=addressee.is_deleted)
    return "the customer is not in the mirror" if effect.attempts >= CUSTOMER_ATTEMPTS else None


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
