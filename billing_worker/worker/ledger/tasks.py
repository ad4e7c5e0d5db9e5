"""Tasks of the schedule ledger."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta

from billing_worker.worker.container import Container
from billing_worker.worker.ledger.services.prune_runs import prune_runs
from billing_worker.worker.ledger.services.run_due_jobs import DRAIN_SECONDS, run_due_jobs
from billing_worker.worker.queues import MAINTENANCE
from billing_worker.worker.tasks import registry, task
from billing_worker.worker.wake import Delivery
from schedules import JOBS
from schedules.job import Job

RUN_JOB = "schedules.run_job"

WAKE_EXPIRES_AFTER = timedelta(seconds=30)
"""While workers are busy, messages are sent again and again; those nobody took in time are dropped unread. Longer than
the clocks of two hosts may differ: a worker whose clock is ahead must not drop them all."""


@task(RUN_JOB, queue=MAINTENANCE)
def run_job(container: Container, *, job: str) -> Mapping[str, object]:
    """Run what is due of one job, on the queue and under the limits of the job's own task."""
    known = JOBS.get(job)
    if known is None:
        return {"unknown_job": True}
    definition = registry[known.task]

    def execute(due_at: datetime) -> Mapping[str, object]:
        return definition.run(container, {"due_at": due_at.isoformat()})

    outcome = run_due_jobs(
        container.unit_of_work,
        job=known,
        execute=execute,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        limit=timedelta(seconds=definition.hard_limit_seconds),
    )
    if outcome.stopped_early:
        send_run_job(container, known)
    return asdict(outcome)


@task("schedules.prune_runs", queue=MAINTENANCE)
def prune_schedule_runs(container: Container) -> Mapping[str, object]:
    """Delete runs that ended a quarter ago."""
    return {"deleted": prune_runs(container.unit_of_work)}


def send_run_job(container: Container, job: Job) -> bool:
    """Wake a job on its own queue; its message carries the limits of the job's task and of the drain around it."""
    definition = registry[job.task]
    drain = int(DRAIN_SECONDS)
    limits = (definition.soft_limit_seconds + drain, definition.hard_limit_seconds + drain)
    delivery = Delivery(expires_after=WAKE_EXPIRES_AFTER, limits_seconds=limits)
    return container.waker.send(RUN_JOB, queue=job.queue, kwargs={"job": job.name}, delivery=delivery)
