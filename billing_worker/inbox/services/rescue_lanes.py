"""Wake every lane that has something due, whoever lost the wake-up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.inbox.queue import list_due_lanes


def rescue_lanes(session: Session, now: datetime, *, wake: Callable[[int], bool]) -> int:
    """Wake the due lanes and return how many messages went out (lanes already woken are left alone)."""
    return sum(wake(lane) for lane in list_due_lanes(session, now))
