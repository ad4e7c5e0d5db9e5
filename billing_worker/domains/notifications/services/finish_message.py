"""Phase (c) of sending: store what the server said."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.models import Message
from billing_worker.domains.notifications.queries import get_attempt
from billing_worker.domains.notifications.rules import MAX_ATTEMPTS, wait_after
from billing_worker.domains.notifications.services.claim_message import Letter
from billing_worker.domains.notifications.services.settle_unknown import settle_unknown
from billing_worker.domains.notifications.smtp import Reply
from billing_worker.domains.notifications.states import AttemptOutcome, MessageStatus
from billing_worker.effects.leased import finish_effect, lock_effect, postpone_effect
from billing_worker.effects.states import EffectStatus


def finish_message(session: Session, letter: Letter, reply: Reply, *, resends: bool, now: datetime) -> Message:
    """Store an attempt's outcome and what follows from it, and return the message.

    An answer that comes after the lease was given up is stored too; only a yes still changes anything, and only while
    no other worker is sending the same message.
    Locks: the effect, then its message.
    """
    standing = lock_effect(session, letter.effect.id)
    message, attempt = get_attempt(session, letter.attempt_id)
    is_late = attempt.outcome is not AttemptOutcome.SENDING
    attempt.outcome, attempt.detail, attempt.ended_at = reply.outcome, reply.detail, now
    if is_late and (reply.outcome is not AttemptOutcome.SENT or standing is EffectStatus.RUNNING):
        return message
    due_at = now + wait_after(letter.effect.attempts)
    match reply.outcome:
        case AttemptOutcome.SENT:
            message.status, message.detail, message.sent_at = MessageStatus.SENT, reply.detail, now
            finish_effect(session, letter.effect.id, EffectStatus.DONE, "", now=now)
        case AttemptOutcome.DEFERRED if letter.effect.attempts < MAX_ATTEMPTS:
            message.detail = reply.detail
            postpone_effect(session, letter.effect.id, reply.detail, due_at=due_at)
        case AttemptOutcome.UNKNOWN:
            settle_unknown(session, message, reply.detail, resends=resends, due_at=due_at, now=now)
        case _:
            message.status, message.detail = MessageStatus.FAILED, reply.detail
            finish_effect(session, letter.effect.id, EffectStatus.FAILED, reply.detail, now=now)
    return message
