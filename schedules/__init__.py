"""What runs when, as data: one module per theme, collected here, duplicates refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from billing_worker.kernel.errors import InvalidValueError
from schedules import maintenance, quotas, reconciliation, usage, webhooks
from schedules.job import Job


def collect(themes: Iterable[Iterable[Job]]) -> Mapping[str, Job]:
    """Put the jobs of all themes into one mapping by name.

    Raises: InvalidValueError when two jobs share a name: they would share their runs.
    """
    jobs: dict[str, Job] = {}
    for job in (job for theme in themes for job in theme):
        if job.name in jobs:
            raise InvalidValueError(f"job {job.name} is scheduled twice; rename one of them")
        jobs[job.name] = job
    return MappingProxyType(jobs)


JOBS: Mapping[str, Job] = collect((maintenance.JOBS, usage.JOBS, quotas.JOBS, reconciliation.JOBS, webhooks.JOBS))
