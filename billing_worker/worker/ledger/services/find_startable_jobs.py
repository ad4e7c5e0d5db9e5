"""Find the jobs whose runs can start now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.worker.ledger import queries
from schedules.job import Job


def find_startable_jobs(session: Session, *, jobs: Iterable[Job], now: datetime) -> list[Job]:
    """Return the jobs that have a run to start.

    A job that must not overlap is left out while a run of it is alive. Runs of jobs that this release does not know
    are left alone: an older or newer worker beside it may know them.
    """
    claimable = queries.list_jobs_with_claimable_runs(session, now)
    return [job for job in jobs if job.name in claimable and not (job.overlap == "skip" and claimable[job.name])]
