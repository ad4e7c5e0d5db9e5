"""Turn slots that have come into runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.worker.ledger import queries
from billing_worker.worker.ledger.queries import StoredJob
from billing_worker.worker.ledger.rules import Schedule, compute_due_slots, compute_first_slot


def insert_due_runs(unit_of_work: UnitOfWork, *, schedules: Iterable[Schedule], now: datetime) -> int:
    """Insert the runs of every slot up to `now`, by each job's `if_missed`; return how many were new.

    Phases: a plain read, and only where something is due or new one transaction that inserts and moves on together.
    Idempotent by: unique (job, due_at); a job whose row another tick holds is left to that tick.
    """
    by_name = {schedule.job.name: schedule for schedule in schedules}
    with unit_of_work.transaction() as session:
        stored = queries.list_jobs(session)
    wanted = {name: schedule for name, schedule in by_name.items() if _needs_work(schedule, stored.get(name), now)}
    if not wanted:
        return 0
    inserted = 0
    with unit_of_work.transaction() as session:
        new = {name: _begin(wanted[name], None, now) for name in wanted.keys() - stored.keys()}
        if new:
            queries.insert_jobs(session, new, now)
        for name, row in queries.lock_jobs(session, wanted.keys()).items():
            schedule = wanted[name]
            start = row if row.schedule == schedule.cadence.describe() else _begin(schedule, row, now)
            due = compute_due_slots(schedule, next_due_at=start.next_due_at, now=now)
            inserted += queries.insert_runs(session, name, due.slots, now)
            moved = StoredJob(start.schedule, due.next_due_at)
            if moved != row:
                queries.update_job(session, name, moved, now)
    return inserted


def _needs_work(schedule: Schedule, row: StoredJob | None, now: datetime) -> bool:
    return row is None or row.next_due_at <= now or row.schedule != schedule.cadence.describe()


def _begin(schedule: Schedule, row: StoredJob | None, now: datetime) -> StoredJob:
    stored = None if row is None else row.next_due_at
    first = compute_first_slot(schedule, stored_next_due_at=stored, now=now)
    return StoredJob(schedule.cadence.describe(), first)
