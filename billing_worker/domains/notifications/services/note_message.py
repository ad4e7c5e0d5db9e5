"""Give an effect its message."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.models import Message
from billing_worker.domains.notifications.queries import find_message_of
from billing_worker.domains.notifications.rules import domain_of, message_id_of, template_of
from billing_worker.domains.notifications.states import MessageStatus
from billing_worker.effects.leased import LeasedEffect
from billing_worker.effects.runner import DueEffect


def note_message(session: Session, effect: LeasedEffect | DueEffect, *, sender: str, now: datetime) -> Message:
    """Return an effect's message, queued; a new one unless it was noted before.

    Idempotent by: the effect, which the caller has locked. A Message-ID that a server has seen never changes, another
    MAIL_FROM or not.
    """
    message = find_message_of(session, effect.id)
    name = message_id_of(effect.account_id, effect.key, domain_of(sender) or "localhost")
    if message is None:
        message = Message(
            account_id=effect.account_id,
            effect_id=effect.id,
            message_id=name,
            customer_id=effect.customer_id,
            template=template_of(effect.kind),
            subject="",
            status=MessageStatus.QUEUED,
            attempts=0,
            detail="",
            queued_at=now,
        )
        session.add(message)
    elif message.status is not MessageStatus.UNKNOWN:
        message.status, message.detail = MessageStatus.QUEUED, ""
    if message.attempts == 0:
        message.message_id = name
    session.flush()
    return message
