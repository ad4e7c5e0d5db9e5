"""Claim a job's next run."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing_worker.worker.ledger import queries
from billing_worker.worker.ledger.queries import ClaimedRun
from billing_worker.worker.ledger.rules import MAX_ATTEMPTS
from schedules.job import Job


def claim_run(session: Session, *, job: Job, worker: str, lease: timedelta, now: datetime) -> ClaimedRun | None:
    """Claim the oldest run of a job that is due or whose worker died; none when there is nothing to start.

    Locks: the job's advisory lock, so that two claims see each other's lease; the run's row.
    A run whose workers died in every attempt is failed here: it would take the next worker with it.
    """
    if not queries.try_lock_job(session, job.name):
        return None
    in_order = job.overlap == "skip"
    if in_order and queries.has_live_run(session, job.name):
        return None
    while (run := queries.lock_next_run(session, job.name, now, in_order=in_order)) is not None:
        if run.attempts < MAX_ATTEMPTS:
            return queries.start_run(session, run, worker=worker, lease=lease, now=now)
        detail = f"its worker died in {run.attempts} attempts, last {run.worker}"
        queries.fail_crashed_run(session, run, now=now, detail=detail)
    return None
