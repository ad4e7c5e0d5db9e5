"""Run what is due of one job."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.errors import TerminalError
from billing_worker.worker.ledger import queries
from billing_worker.worker.ledger.heartbeat import Heartbeat
from billing_worker.worker.ledger.queries import ClaimedRun
from billing_worker.worker.ledger.rules import MAX_ATTEMPTS, compute_backoff
from billing_worker.worker.ledger.services.claim_run import claim_run
from billing_worker.worker.ledger.states import RunStatus
from schedules.job import Job

LEASE = timedelta(seconds=60)
"""A dead worker's run is taken up again after a minute at most."""

DRAIN_SECONDS = 5.0
"""A task takes further runs of its job for five seconds, then gives the worker back (as lanes do)."""

DETAIL_CHARACTERS = 500

Execute = Callable[[datetime], Mapping[str, object]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RunsOutcome:
    """What a drain of one job's runs came to; `stopped_early` when more may be due."""

    done: int = 0
    failed: int = 0
    retried: int = 0
    lost: int = 0
    stopped_early: bool = False


def run_due_jobs(
    unit_of_work: UnitOfWork, *, job: Job, execute: Execute, worker: str, limit: timedelta, lease: timedelta = LEASE
) -> RunsOutcome:
    """Run a job's due slots, the oldest first, each claimed under a lease and called with its `due_at`.

    Phases: claim, commit; the job itself, which owns its transactions; outcome, commit.
    Idempotent by: the job's own rows; a run whose worker dies is given out again, and only the last holder ends it.
    """
    counts: Counter[str] = Counter()
    give_back_at = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < give_back_at:
        with unit_of_work.transaction() as session:
            run = claim_run(session, job=job, worker=worker, lease=lease, now=unit_of_work.now())
        if run is None:
            return _outcome(counts, stopped_early=False)
        counts[_run_once(unit_of_work, run, execute, lease=lease, limit=limit)] += 1
    return _outcome(counts, stopped_early=True)


def _outcome(counts: Counter[str], *, stopped_early: bool) -> RunsOutcome:
    return RunsOutcome(counts["done"], counts["failed"], counts["retried"], counts["lost"], stopped_early)


def _run_once(
    unit_of_work: UnitOfWork, run: ClaimedRun, execute: Execute, *, lease: timedelta, limit: timedelta
) -> str:
    try:
        with Heartbeat(unit_of_work, run, lease=lease, limit=limit):
            report = execute(run.due_at)
    except Exception as error:  # noqa: BLE001 - a job's failure is a row; the task decorator has logged it already
        return _record_failure(unit_of_work, run, error)
    with unit_of_work.transaction() as session:
        plain = json.loads(json.dumps(dict(report), default=str))
        held = queries.end_run(session, run, RunStatus.DONE, now=unit_of_work.now(), report=plain)
    return "done" if held else "lost"


def _record_failure(unit_of_work: UnitOfWork, run: ClaimedRun, error: Exception) -> str:
    detail = f"{type(error).__name__}: {error}"[:DETAIL_CHARACTERS]
    final = isinstance(error, TerminalError) or run.attempt >= MAX_ATTEMPTS
    now = unit_of_work.now()
    with unit_of_work.transaction() as session:
        if final:
            held = queries.end_run(session, run, RunStatus.FAILED, now=now, detail=detail)
        else:
            not_before = now + compute_backoff(run.attempt)
            held = queries.put_back_run(session, run, not_before=not_before, detail=detail)
    if final and held:
        _log.error("scheduled_run_failed", job=run.job, due_at=run.due_at.isoformat(), attempts=run.attempt)
    return ("failed" if final else "retried") if held else "lost"
