"""Take failed or stuck runs off the list."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.kernel.errors import RefusedError
from billing_worker.worker.ledger import queries
from billing_worker.worker.ledger.states import RunStatus

CLEARABLE = (RunStatus.FAILED, RunStatus.DUE, RunStatus.RUNNING)


def clear_runs(
    session: Session, *, statuses: Collection[RunStatus], job: str | None, actor: str, now: datetime
) -> list[tuple[str, datetime]]:
    """Mark runs skipped and return their job and slot; one that holds a lease is at work and stays.

    Raises: RefusedError for statuses that are an end already.
    """
    wrong = sorted(status.value for status in statuses if status not in CLEARABLE)
    if wrong:
        raise RefusedError(f"runs that are {', '.join(wrong)} are over; clear --status failed, due or running")
    return queries.skip_runs(session, statuses=statuses, job=job, now=now, detail=f"cleared by {actor}")
