"""The real Celery application with tasks and jobs of the tests: some hang, some fail, some leave a note.

Started as `celery -A tests.integration.worker.rig …` in processes of its own; the test's database has `rig_notes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import text

import schedules
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.worker.container import Container
from billing_worker.worker.queues import MAINTENANCE
from billing_worker.worker.tasks import task
from schedules import maintenance
from schedules.job import Job
from tests.integration.worker.processes import GATE

RIG_JOBS = (
    Job("rig_second", task="rig.note_slot", queue=MAINTENANCE, every=timedelta(seconds=1)),
    Job("rig_hour", task="rig.note_slot", queue=MAINTENANCE, every=timedelta(hours=1)),
    Job("rig_gate", task="rig.pass_gate", queue=MAINTENANCE, every=timedelta(hours=1)),
)


class KeywordError(RetryableError):
    """An error that cannot be pickled: its constructor takes no plain arguments."""

    def __init__(self, *, row: int) -> None:
        super().__init__(f"row {row}")


@task("rig.note", queue=MAINTENANCE)
def note(container: Container, *, words: str, times: int = 1) -> Mapping[str, object]:
    """Leave a note."""
    _write(container, words * times)
    return {"words": words}


@task("rig.note_slot", queue=MAINTENANCE)
def note_slot(container: Container, *, due_at: str) -> Mapping[str, object]:
    """Leave a note of a slot."""
    _write(container, due_at)
    return {"noted": due_at}


@task("rig.pass_gate", queue=MAINTENANCE, soft_limit_seconds=600, hard_limit_seconds=660)
def pass_gate(container: Container, *, due_at: str = "") -> None:
    """Wait until the test opens the gate, then leave a note in the same transaction."""
    with container.unit_of_work.transaction(statement_timeout=timedelta(0)) as session:
        session.execute(text("SELECT pg_advisory_xact_lock(:gate)"), {"gate": GATE})
        session.execute(text("INSERT INTO rig_notes (words) VALUES (:words)"), {"words": f"passed {due_at}"})


@task("rig.fail", queue=MAINTENANCE)
def fail(container: Container, *, how: str) -> None:
    """Leave a note, then fail in one of the ways."""
    _write(container, f"failing {how}")
    errors = {"retryable": RetryableError("later"), "terminal": TerminalError("never"), "bug": ValueError("a bug")}
    raise errors.get(how) or KeywordError(row=7)


def _write(container: Container, words: str) -> None:
    with container.unit_of_work.transaction() as session:
        session.execute(text("INSERT INTO rig_notes (words) VALUES (:words)"), {"words": words})


schedules.JOBS = schedules.collect((maintenance.JOBS, RIG_JOBS))

from billing_worker.app.celery_app import app  # noqa: E402 - the application reads the jobs and tasks above

__all__ = ["app"]
