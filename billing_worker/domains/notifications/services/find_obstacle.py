"""Find out why a message does not go out now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.queries import Addressee, find_room, find_suppression
from billing_worker.domains.notifications.rules import (
    CUSTOMER_ATTEMPTS,
    RECIPIENT_WINDOW,
    address_digest,
    check_recipient,
    wait_after,
)
from billing_worker.effects.leased import LeasedEffect


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a message from going out: until an instant, or for good."""

    why: str
    until: datetime | None = None


def find_obstacle(
    session: Session, effect: LeasedEffect, addressee: Addressee | None, *, recipient_limit: int, now: datetime
) -> Obstacle | None:
    """Return what stands in a message's way, None if it may go.

    Units: `recipient_limit` messages to one address within an hour, 0 for any number.
    """
    if effect.not_after is not None and effect.not_after < now:
        return Obstacle("came after its time")
    if effect.customer_id is None:
        return Obstacle("it concerns no customer")
    if addressee is None:
        if effect.attempts >= CUSTOMER_ATTEMPTS:
            return Obstacle("the customer is not in the mirror")
        return Obstacle("the customer is not in the mirror yet", now + wait_after(effect.attempts))
    why_not = check_recipient(addressee.address, is_deleted=addressee.is_deleted)
    if why_not is not None:
        return Obstacle(why_not)
    return _find_in_history(session, effect.account_id, str(addressee.address), recipient_limit, now)


def _find_in_history(
    session: Session, account_id: str, address: str, recipient_limit: int, now: datetime
) -> Obstacle | None:
    bounced = find_suppression(session, account_id, address_digest(address))
    if bounced is not None:
        lift = "`nself billing email suppressions` shows and lifts it"
        return Obstacle(f"mail to this address came back: {bounced.reason}; {lift}")
    blocking = find_room(session, address, limit=recipient_limit, since=now - RECIPIENT_WINDOW)
    if blocking is None:
        return None
    why = f"{recipient_limit} messages went to this address within an hour (MAIL_RECIPIENT_LIMIT)"
    return Obstacle(why, blocking + RECIPIENT_WINDOW)
