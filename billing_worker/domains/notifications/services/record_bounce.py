"""Note that a message came back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_worker.domains.notifications.bounces import Bounce, read_bounces
from billing_worker.domains.notifications.models import MailSuppression, Message, MessageBounce
from billing_worker.domains.notifications.queries import find_message_by_id
from billing_worker.domains.notifications.rules import address_digest
from billing_worker.domains.notifications.states import MessageStatus

ON_THEIR_WAY = frozenset({MessageStatus.SENT, MessageStatus.UNKNOWN})


@dataclass(frozen=True, slots=True)
class RecordedBounce:
    """What a report changed: `outcome` is bounced, suppressed (the address as well), noted, repeated or not_ours."""

    message_id: int | None
    outcome: str
    status_code: str
    detail: str


def record_bounce(session: Session, raw: bytes, *, now: datetime) -> list[RecordedBounce]:
    """Mark the messages that a report is about, and stop writing to addresses that do not exist.

    Shape: a report counts only when it returns a Message-ID of ours and names the address that this message went to:
    who cannot have seen the message cannot stop mail to anybody. A failure ends as `bounced`; a permanent one (5.x.x)
    suppresses the address; a delay is only noted.
    Idempotent by: message and report.
    Raises: NotABounceError.
    """
    digest = hashlib.sha256(raw).hexdigest()
    return [_record(session, bounce, digest, now) for bounce in read_bounces(raw)]


def _record(session: Session, bounce: Bounce, digest: str, now: datetime) -> RecordedBounce:
    message = find_message_by_id(session, bounce.message_id)
    if message is None or (message.recipient or "").lower() != bounce.recipient.lower():
        return RecordedBounce(None, "not_ours", bounce.status_code, bounce.detail)
    noted = insert(MessageBounce).values(
        message_id=message.id,
        report_digest=digest,
        received_at=now,
        action=bounce.action,
        status_code=bounce.status_code,
        detail=bounce.detail,
    )
    if session.execute(noted.on_conflict_do_nothing().returning(MessageBounce.id)).one_or_none() is None:
        return RecordedBounce(message.id, "repeated", bounce.status_code, bounce.detail)
    if not bounce.is_failure:
        return RecordedBounce(message.id, "noted", bounce.status_code, bounce.detail)
    reason = f"{bounce.status_code} {bounce.detail}".strip() or "no reason given"
    if message.status in ON_THEIR_WAY:
        message.status, message.detail = MessageStatus.BOUNCED, reason
    if bounce.is_permanent:
        _suppress(session, message, reason, now)
    return RecordedBounce(
        message.id, "suppressed" if bounce.is_permanent else "bounced", bounce.status_code, bounce.detail
    )


def _suppress(session: Session, message: Message, reason: str, now: datetime) -> None:
    suppression = insert(MailSuppression).values(
        account_id=message.account_id,
        address_digest=address_digest(str(message.recipient)),
        message_id=message.id,
        reason=reason,
        suppressed_at=now,
    )
    session.execute(suppression.on_conflict_do_nothing())
