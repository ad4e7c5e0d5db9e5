"""Take up the attempts that a crash cut off."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.queries import lock_interrupted
from billing_worker.domains.notifications.services.settle_unknown import settle_unknown
from billing_worker.domains.notifications.states import AttemptOutcome

CRASHED = "the worker ended before the server's answer was stored"


def settle_interrupted(session: Session, *, resends: bool, now: datetime) -> int:
    """Mark every attempt whose lease is over as unknown and return how many there were.

    Locks: the effects, in order of their ids; what another worker settles is left to it.
    """
    interrupted = lock_interrupted(session)
    for message, attempt in interrupted:
        attempt.outcome, attempt.ended_at, attempt.detail = AttemptOutcome.UNKNOWN, now, CRASHED
        settle_unknown(session, message, CRASHED, resends=resends, due_at=now, now=now)
    return len(interrupted)
