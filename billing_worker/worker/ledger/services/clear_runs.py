"""Take failed or stuck runs off the list."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.kernel.errors import RefusedError
from billing_worker.worker.ledger import queries
from billing_worker.worker.ledger.states import ENDED, RunStatus


class RunsOverError(RefusedError):
    """Runs in this state are over; there is nothing to clear."""


def clear_runs(
    session: Session, *, status: RunStatus, job: str | None, actor: str, now: datetime, dry_run: bool = False
) -> list[tuple[str, datetime]]:
    """Mark runs of a status skipped and return their job and slot; one that holds a lease is at work and stays.

    Raises: RunsOverError for a status that is an end already; failed runs can be cleared.
    """
    if status in ENDED and status is not RunStatus.FAILED:
        raise RunsOverError(f"runs that are {status.value} are over; clear --status failed, due or running")
    if dry_run:
        return queries.list_idle_runs(session, statuses=(status,), job=job)
    return queries.skip_runs(session, statuses=(status,), job=job, now=now, detail=f"cleared by {actor}")
