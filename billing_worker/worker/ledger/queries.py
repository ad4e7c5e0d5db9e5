"""Statements on the schedule ledger."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, and_, delete, exists, func, not_, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, try_lock
from billing_worker.worker.ledger.models import Lease, ScheduleJob, ScheduleRun
from billing_worker.worker.ledger.states import ENDED, OPEN, RunStatus

COUNT_LIMIT = 1000
"""Probes ask whether there is anything, not how much."""

_SIGNED = 0x80000000


@dataclass(frozen=True)
class StoredJob:
    """A job's row."""

    schedule: str
    next_due_at: datetime


@dataclass(frozen=True)
class ClaimedRun:
    """A run that this process holds; `attempt` fences it against a later holder."""

    id: int
    job: str
    due_at: datetime
    attempt: int


def list_jobs(session: Session) -> dict[str, StoredJob]:
    """Read every job's row."""
    rows = session.execute(select(ScheduleJob.job, ScheduleJob.schedule, ScheduleJob.next_due_at))
    return {row.job: StoredJob(row.schedule, row.next_due_at) for row in rows}


def lock_jobs(session: Session, names: Collection[str]) -> dict[str, StoredJob]:
    """Lock the rows of jobs, leaving out those another tick works on."""
    statement = (
        select(ScheduleJob.job, ScheduleJob.schedule, ScheduleJob.next_due_at)
        .where(ScheduleJob.job.in_(names))
        .order_by(ScheduleJob.job)
        .with_for_update(skip_locked=True)
    )
    return {row.job: StoredJob(row.schedule, row.next_due_at) for row in session.execute(statement)}


def insert_jobs(session: Session, jobs: Mapping[str, StoredJob], now: datetime) -> None:
    """Add rows for new jobs; one that another tick added first stays as it is."""
    rows = [
        {"job": name, "schedule": job.schedule, "next_due_at": job.next_due_at, "updated_at": now}
        for name, job in sorted(jobs.items())
    ]
    session.execute(upsert(ScheduleJob).on_conflict_do_nothing(), rows)


def update_job(session: Session, name: str, job: StoredJob, now: datetime) -> None:
    """Move a job to its next slot."""
    session.execute(
        update(ScheduleJob)
        .where(ScheduleJob.job == name)
        .values(schedule=job.schedule, next_due_at=job.next_due_at, updated_at=now)
    )


def insert_runs(session: Session, job: str, slots: Sequence[datetime], now: datetime) -> int:
    """Add the runs of a job's slots that are not there yet; say how many were new."""
    rows = [
        {"job": job, "due_at": slot, "status": RunStatus.DUE, "attempts": 0, "detail": "", "created_at": now}
        for slot in slots
    ]
    statement = upsert(ScheduleRun).values(rows).on_conflict_do_nothing().returning(ScheduleRun.id)
    return len(session.execute(statement).all()) if rows else 0


def try_lock_job(session: Session, job: str) -> bool:
    """Take the lock under which runs of a job are claimed, until the transaction ends."""
    number = zlib.crc32(job.encode())
    return try_lock(session, LockClass.SCHEDULE, number - 2 * _SIGNED if number >= _SIGNED else number)


def has_live_run(session: Session, job: str) -> bool:
    """Say whether a run of the job holds a lease."""
    return bool(session.execute(select(exists().where(ScheduleRun.job == job, _is_live()))).scalar_one())


def lock_next_run(session: Session, job: str, now: datetime, *, in_order: bool) -> ScheduleRun | None:
    """Lock the oldest run that can start.

    Order: with `in_order` a run that waits for its next attempt holds back the later ones of its job.
    """
    statement = select(ScheduleRun).where(ScheduleRun.job == job)
    if in_order:
        oldest = select(func.min(ScheduleRun.due_at)).where(ScheduleRun.job == job, _is_open()).scalar_subquery()
        statement = statement.where(ScheduleRun.due_at == oldest)
    statement = statement.where(_is_claimable(now)).order_by(ScheduleRun.due_at).limit(1)
    return session.execute(statement.with_for_update(skip_locked=True)).scalar_one_or_none()


def start_run(session: Session, run: ScheduleRun, *, worker: str, lease: timedelta, now: datetime) -> ClaimedRun:
    """Give a locked run to a worker."""
    attempt = run.attempts + 1
    session.execute(
        update(ScheduleRun)
        .where(ScheduleRun.id == run.id)
        .values(
            status=RunStatus.RUNNING,
            attempts=attempt,
            not_before=None,
            lease_until=func.clock_timestamp() + lease,
            heartbeat_at=func.clock_timestamp(),
            worker=worker,
            started_at=now,
        )
        .execution_options(synchronize_session=False)
    )
    return ClaimedRun(run.id, run.job, run.due_at, attempt)


def renew_run(session: Session, run: ClaimedRun, lease: timedelta) -> bool:
    """Extend a held lease; False when the run was given to somebody else meanwhile."""
    values = {"lease_until": func.clock_timestamp() + lease, "heartbeat_at": func.clock_timestamp()}
    return _update_held(session, run, values)


def end_run(
    session: Session,
    run: ClaimedRun,
    status: RunStatus,
    *,
    now: datetime,
    report: Mapping[str, object] | None = None,
    detail: str = "",
) -> bool:
    """End a held run; False when it was given to somebody else meanwhile."""
    values = {"status": status, "finished_at": now, "lease_until": None, "report": report, "detail": detail}
    return _update_held(session, run, values)


def put_back_run(session: Session, run: ClaimedRun, *, not_before: datetime, detail: str) -> bool:
    """Let a held run wait for its next attempt; False when it was given to somebody else meanwhile."""
    values = {"status": RunStatus.DUE, "lease_until": None, "worker": None, "not_before": not_before, "detail": detail}
    return _update_held(session, run, values)


def fail_crashed_run(session: Session, run: ScheduleRun, *, now: datetime, detail: str) -> None:
    """End a locked run whose workers died too often."""
    session.execute(
        update(ScheduleRun)
        .where(ScheduleRun.id == run.id)
        .values(status=RunStatus.FAILED, finished_at=now, lease_until=None, detail=detail)
        .execution_options(synchronize_session=False)
    )


def list_jobs_with_claimable_runs(session: Session, now: datetime) -> dict[str, bool]:
    """Return the jobs that have a run to start, each with whether another of its runs is alive."""
    statement = (
        select(ScheduleRun.job, func.bool_or(_is_live()).label("live"))
        .where(_is_open())
        .group_by(ScheduleRun.job)
        .having(func.bool_or(_is_claimable(now)))
    )
    return {row.job: bool(row.live) for row in session.execute(statement)}


def count_unfinished(session: Session, now: datetime) -> int:
    """Count slots without run and runs without end that are due now; running ones count, waiting ones do not."""
    late = select(func.count()).select_from(ScheduleJob).where(ScheduleJob.next_due_at <= now).scalar_subquery()
    wanted = or_(_is_claimable(now), ScheduleRun.status == RunStatus.RUNNING)
    runs = select(ScheduleRun.id).where(_is_open(), wanted).limit(COUNT_LIMIT).subquery()
    return cast("int", session.execute(select(late + func.count()).select_from(runs)).scalar_one())


def list_runs(
    session: Session,
    *,
    statuses: Collection[RunStatus] = (),
    job: str | None = None,
    limit: int = 100,
    only_idle: bool = False,
) -> Sequence[ScheduleRun]:
    """Read runs, the newest slot first; `only_idle` leaves out those that hold a lease."""
    statement = select(ScheduleRun).order_by(ScheduleRun.due_at.desc(), ScheduleRun.job).limit(limit)
    if statuses:
        statement = statement.where(ScheduleRun.status.in_(statuses))
    if job is not None:
        statement = statement.where(ScheduleRun.job == job)
    if only_idle:
        statement = statement.where(*_are_idle(statuses, job))
    return session.execute(statement).scalars().all()


def list_idle_runs(session: Session, *, statuses: Collection[RunStatus], job: str | None) -> list[tuple[str, datetime]]:
    """Read job and slot of runs that hold no lease, in order."""
    statement = select(ScheduleRun.job, ScheduleRun.due_at).where(*_are_idle(statuses, job))
    return sorted((row.job, row.due_at) for row in session.execute(statement))


def skip_runs(
    session: Session, *, statuses: Collection[RunStatus], job: str | None, now: datetime, detail: str
) -> list[tuple[str, datetime]]:
    """End runs that hold no lease as skipped; return job and slot of each, in order."""
    rows = session.execute(
        update(ScheduleRun)
        .where(*_are_idle(statuses, job))
        .values(status=RunStatus.SKIPPED, finished_at=now, lease_until=None, detail=detail)
        .returning(ScheduleRun.job, ScheduleRun.due_at)
        .execution_options(synchronize_session=False)
    )
    return sorted((row.job, row.due_at) for row in rows)


def delete_ended_runs(session: Session, *, before: datetime, limit: int) -> int:
    """Delete runs that ended before a time, at most `limit` of them."""
    old = select(ScheduleRun.id).where(ScheduleRun.status.in_(ENDED), ScheduleRun.finished_at < before).limit(limit)
    deleted = session.execute(
        delete(ScheduleRun).where(ScheduleRun.id.in_(old)).returning(ScheduleRun.id),
        execution_options={"synchronize_session": False},
    )
    return len(deleted.all())


def upsert_lease(session: Session, *, name: str, holder: str, duration: timedelta) -> bool:
    """Take or extend a lease that is free, expired or ours; False when somebody else holds it."""
    until = func.clock_timestamp() + duration
    statement = (
        upsert(Lease)
        .values(name=name, holder=holder, expires_at=until)
        .on_conflict_do_update(
            index_elements=[Lease.name],
            set_={"holder": holder, "expires_at": until},
            where=or_(Lease.holder == holder, Lease.expires_at < func.clock_timestamp()),
        )
        .returning(Lease.holder)
    )
    return session.execute(statement).first() is not None


def delete_lease(session: Session, *, name: str, holder: str) -> None:
    """Give up a lease, if it is ours."""
    session.execute(delete(Lease).where(Lease.name == name, Lease.holder == holder))


def _update_held(session: Session, run: ClaimedRun, values: Mapping[str, object]) -> bool:
    statement = (
        update(ScheduleRun)
        .where(ScheduleRun.id == run.id, ScheduleRun.status == RunStatus.RUNNING, ScheduleRun.attempts == run.attempt)
        .values(**values)
        .returning(ScheduleRun.id)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).first() is not None


def _are_idle(statuses: Collection[RunStatus], job: str | None) -> list[ColumnElement[bool]]:
    of_job = [] if job is None else [ScheduleRun.job == job]
    return [ScheduleRun.status.in_(statuses), not_(_is_live()), *of_job]


def _is_open() -> ColumnElement[bool]:
    return ScheduleRun.status.in_(OPEN)


def _is_live() -> ColumnElement[bool]:
    return and_(ScheduleRun.status == RunStatus.RUNNING, ScheduleRun.lease_until >= func.clock_timestamp())


def _is_claimable(now: datetime) -> ColumnElement[bool]:
    return or_(
        and_(ScheduleRun.status == RunStatus.DUE, or_(ScheduleRun.not_before.is_(None), ScheduleRun.not_before <= now)),
        and_(ScheduleRun.status == RunStatus.RUNNING, ScheduleRun.lease_until < func.clock_timestamp()),
    )
