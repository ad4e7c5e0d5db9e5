"""Shows one scheduled job: when it runs, what is next, how the last run ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import show_facts
from schedules import JOBS

if TYPE_CHECKING:
    from billing_worker.worker.ledger import queries
else:
    queries = lazy_module("billing_worker.worker.ledger.queries")


def show_schedule(invocation: Invocation, name: str, *, as_json: bool, note: str) -> None:
    """Print a job's schedule; `note` says what wakes the same work beside it."""
    job, settings = JOBS[name], load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        stored = queries.list_jobs(session).get(name)
        last = next(iter(queries.list_runs(session, job=name, limit=1)), None)
    show_facts(
        {
            "job": name,
            "task": job.task,
            "queue": job.queue,
            "cron": job.cron,
            "every": getattr(settings, job.every_setting) if job.every_setting else job.every,
            "setting": job.every_setting.upper() if job.every_setting else None,
            "zone": settings.billing_timezone.key,
            "if_missed": job.if_missed,
            "next_due_at": stored.next_due_at if stored else None,
            "last_due_at": last.due_at if last else None,
            "last_status": last.status if last else None,
            "last_report": last.report if last else None,
            "also": note,
        },
        as_json=as_json,
    )
