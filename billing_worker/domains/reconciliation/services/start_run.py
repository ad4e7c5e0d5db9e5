"""Start a reconciliation, or take up one that was left incomplete."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, try_lock
from billing_worker.domains.reconciliation.errors import NothingToResumeError, ReconciliationBusyError
from billing_worker.domains.reconciliation.models import ReconciliationRun
from billing_worker.domains.reconciliation.queries import find_latest_run, is_alive
from billing_worker.domains.reconciliation.rules import Scope
from billing_worker.domains.reconciliation.states import RunStatus


def start_run(
    session: Session, *, account_id: str, scope: Scope, started_by: str, must_resume: bool, now: datetime
) -> ReconciliationRun:
    """Return the run to work on: the latest one if it is incomplete and of the same scope, else a new one.

    Shape: `must_resume` takes the latest incomplete run whatever its scope.
    Locks: one advisory lock, so that two starts make one run.
    Raises: ReconciliationBusyError while a run is alive; NothingToResumeError.
    """
    if not try_lock(session, LockClass.RECONCILIATION, 0):
        raise ReconciliationBusyError("another reconciliation is starting; look with `nself billing reconcile status`")
    latest = find_latest_run(session, account_id)
    if latest is not None and is_alive(session, latest):
        raise ReconciliationBusyError(
            f"reconciliation {latest.id} is running since {latest.started_at}; "
            "look with `nself billing reconcile status`"
        )
    is_open = latest is not None and latest.status in (RunStatus.RUNNING, RunStatus.INCOMPLETE)
    if latest is not None and is_open and (must_resume or latest.scope == scope.stored()):
        latest.status = RunStatus.RUNNING
        latest.heartbeat_at = func.clock_timestamp()
        latest.detail = ""
        return latest
    if must_resume:
        raise NothingToResumeError("no reconciliation was left incomplete; start one with `nself billing reconcile`")
    if latest is not None and latest.status is RunStatus.RUNNING:
        latest.status = RunStatus.FAILED
        latest.detail = "its process died, and a run of another scope was started"
    run = ReconciliationRun(
        account_id=account_id,
        started_by=started_by,
        scope=scope.stored(),
        cursor={"type": scope.types[0], "after": None},
        status=RunStatus.RUNNING,
        compared=0,
        differing=0,
        refreshed=0,
        healed=0,
        started_at=now,
        heartbeat_at=func.clock_timestamp(),
        detail="",
    )
    session.add(run)
    session.flush()
    return run
