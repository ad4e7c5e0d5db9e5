"""Note that a message is not sent, and why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.models import Message
from billing_worker.domains.notifications.states import MessageStatus
from billing_worker.effects.leased import finish_effect
from billing_worker.effects.states import EffectStatus


def suppress_message(session: Session, message: Message, why: str, *, now: datetime) -> MessageStatus:
    """End a message and its effect without sending; one that may have been sent already stays unknown."""
    if message.status is MessageStatus.UNKNOWN:
        message.detail = f"it may have been sent, and is not sent again: {why}"
        finish_effect(session, message.effect_id, EffectStatus.UNKNOWN, message.detail, now=now)
        return message.status
    message.status, message.detail = MessageStatus.SUPPRESSED, why
    finish_effect(session, message.effect_id, EffectStatus.SKIPPED, why, now=now)
    return message.status
