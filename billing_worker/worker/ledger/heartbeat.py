"""A thread that keeps the lease of a running job alive."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import TracebackType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.worker.ledger import queries
from billing_worker.worker.ledger.queries import ClaimedRun

BEATS_PER_LEASE = 4
"""Three beats in a row may be lost to a database that restarts before the lease is."""

_log = structlog.get_logger(__name__)


class Heartbeat:
    """Extends a run's lease for the length of a `with` block, no longer than the job's hard limit.

    A job that hangs stops beating at its limit, so that its run is given to another worker.
    """

    def __init__(self, unit_of_work: UnitOfWork, run: ClaimedRun, *, lease: timedelta, limit: timedelta) -> None:
        self._unit_of_work = unit_of_work
        self._run = run
        self._lease = lease
        self._limit_seconds = limit.total_seconds()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{run.job}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        give_up_at = time.monotonic() + self._limit_seconds
        interval = self._lease.total_seconds() / BEATS_PER_LEASE
        while not self._ended.wait(interval) and time.monotonic() < give_up_at:
            try:
                with self._unit_of_work.transaction(statement_timeout=self._lease / BEATS_PER_LEASE) as session:
                    held = queries.renew_run(session, self._run, self._lease)
            except SQLAlchemyError as error:
                _log.warning("run_heartbeat_missed", job=self._run.job, run=self._run.id, error=str(error))
                continue
            if not held:
                _log.error("run_lease_lost", job=self._run.job, run=self._run.id, attempt=self._run.attempt)
                return
