"""Decide what follows an attempt that the server may have answered or not."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.models import Message
from billing_worker.domains.notifications.queries import count_attempts
from billing_worker.domains.notifications.rules import RESENDS_OF_UNKNOWN
from billing_worker.domains.notifications.states import AttemptOutcome, MessageStatus
from billing_worker.effects.leased import finish_effect, postpone_effect
from billing_worker.effects.states import EffectStatus


def settle_unknown(
    session: Session, message: Message, why: str, *, resends: bool, due_at: datetime, now: datetime
) -> None:
    """Send the message once more under the same Message-ID, or leave it to an operator.

    Source: ARCHITECTURE §2.3: mail is at least once, by policy (MAIL_RESEND_UNKNOWN).
    """
    message.status = MessageStatus.UNKNOWN
    session.flush()
    is_resent = resends and count_attempts(session, message.id, AttemptOutcome.UNKNOWN) <= RESENDS_OF_UNKNOWN
    message.detail = f"it may have been sent: {why}; {'it is sent once more' if is_resent else 'it is not sent again'}"
    if is_resent:
        postpone_effect(session, message.effect_id, message.detail, due_at=due_at)
    else:
        finish_effect(session, message.effect_id, EffectStatus.UNKNOWN, message.detail, now=now)
