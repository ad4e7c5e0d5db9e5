"""Hold a leader lease."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from billing_worker.worker.ledger import queries


def hold_lease(session: Session, *, name: str, holder: str, duration: timedelta) -> bool:
    """Take or extend a lease in the database's own time; say whether it is ours now.

    Two holders can never be told yes for the same moment; work done under it must still be idempotent, because a
    holder can be stopped between the answer and the work.
    """
    return queries.upsert_lease(session, name=name, holder=holder, duration=duration)
