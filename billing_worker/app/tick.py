"""The tick: what comes due by time becomes rows, and whatever rows are due is woken."""

from __future__ import annotations

from collections.abc import Mapping
from socket import gethostname

from billing_worker.app.slices import PROBES
from billing_worker.worker.beat import TICK_TASK
from billing_worker.worker.container import Container
from billing_worker.worker.ledger.queries import count_unfinished
from billing_worker.worker.ledger.rules import schedule_of
from billing_worker.worker.ledger.services.find_startable_jobs import find_startable_jobs
from billing_worker.worker.ledger.services.insert_due_runs import insert_due_runs
from billing_worker.worker.ledger.tasks import WAKE_EXPIRES_AFTER, send_run_job
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import TICK
from billing_worker.worker.tasks import task
from billing_worker.worker.uptime import BILLING, tell_alive
from billing_worker.worker.wake import Delivery
from billing_worker.worker.wake_probes import wake_probes
from schedules import JOBS
from schedules.job import Job

SCHEDULE_PROBE = Probe("schedules", task=TICK_TASK, queue=TICK, due=count_unfinished)
"""Not asked by the tick, which is its own answer: for whoever waits until everything due has been done."""

ALL_PROBES: tuple[Probe, ...] = (SCHEDULE_PROBE, *PROBES)


@task(TICK_TASK, queue=TICK, soft_limit_seconds=20, hard_limit_seconds=30, quiet_when_idle=True)
def tick(container: Container) -> Mapping[str, object]:
    """Insert due runs, wake their jobs, wake every slice with due rows.

    Idempotent by: unique runs and claimed rows; ticks may come twice, late or at the same time.
    """
    now = container.unit_of_work.now()
    schedules = [schedule_of(job, container.settings) for job in JOBS.values()]
    inserted = insert_due_runs(container.unit_of_work, schedules=schedules, now=now)
    with container.unit_of_work.transaction() as session:
        tell_alive(session, BILLING, instance=gethostname(), now=now)
        startable = find_startable_jobs(session, jobs=JOBS.values(), now=now)
    jobs = sum(_wake_job(container, job) for job in startable)
    probes = wake_probes(
        container.unit_of_work, probes=PROBES, now=now, wake=lambda probe: _wake_probe(container, probe)
    )
    return {"inserted": inserted, "jobs": jobs, "woken": probes.woken, "broken": probes.broken}


def _wake_job(container: Container, job: Job) -> bool:
    return container.waker.wake_job(job.name, lambda: send_run_job(container, job))


def _wake_probe(container: Container, probe: Probe) -> bool:
    delivery = Delivery(expires_after=WAKE_EXPIRES_AFTER)
    return container.waker.wake_task(probe.task, queue=probe.queue, delivery=delivery)
