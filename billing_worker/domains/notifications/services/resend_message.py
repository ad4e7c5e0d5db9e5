"""Send a message again because an operator asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.notifications.errors import NothingToTellError
from billing_worker.domains.notifications.models import Message
from billing_worker.domains.notifications.queries import get_standing
from billing_worker.domains.notifications.services.rearm_message import rearm_message
from billing_worker.domains.notifications.states import MessageStatus

_COPY = text(
    """
    INSERT INTO billing.billing_effects
        (account_id, effect_key, kind, object_key, customer_id, event_row_id, payload, status, detail,
         next_attempt_at, created_at)
    SELECT account_id, effect_key || ':resent:' || CAST(:number AS text), kind, object_key, customer_id, event_row_id,
           payload, 'pending', '', :now, :now
    FROM billing.billing_effects WHERE id = :id
    ON CONFLICT (account_id, effect_key) DO NOTHING
    RETURNING effect_key
    """
)

_COUNT = text(
    "SELECT count(*) FROM billing.billing_effects WHERE account_id = :account_id"
    " AND starts_with(effect_key, CAST(:key AS text) || ':resent:')"
)

_LOCK = text("SELECT id FROM billing.billing_effects WHERE id = :id FOR UPDATE")


@dataclass(frozen=True, slots=True)
class Resent:
    """What will be sent: the same message that never went out, or a new one beside it, told by its effect's key."""

    effect_key: str
    is_copy: bool


def resend_message(session: Session, message: Message, *, now: datetime) -> Resent:
    """Queue a message again: under its own Message-ID if no server took it, else as a new message.

    Shape: a reader's mail system drops a second message of the same id, which is right for what nobody asked for and
    wrong for what an operator wants to arrive.
    Locks: the effect, so that two operators at once make two messages with keys of their own.
    Raises: NothingToTellError for one that is on its way by itself.
    """
    session.execute(_LOCK, {"id": message.effect_id})
    session.refresh(message)
    standing = get_standing(session, message)
    if standing.effect_status in {"pending", "running"}:
        raise NothingToTellError(f"msg_{message.id} goes out by itself: `nself billing email status msg_{message.id}`")
    if message.status in {MessageStatus.SUPPRESSED, MessageStatus.FAILED} and rearm_message(
        session, standing.effect_key, now
    ):
        return Resent(standing.effect_key, is_copy=False)
    times = session.execute(_COUNT, {"account_id": message.account_id, "key": standing.effect_key}).scalar_one()
    key = session.execute(_COPY, {"id": message.effect_id, "number": times + 1, "now": now}).scalar_one()
    return Resent(str(key), is_copy=True)
