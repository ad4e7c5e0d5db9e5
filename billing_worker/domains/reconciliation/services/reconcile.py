"""Compare the mirror with Stripe, type by type and page by page, and heal it through the lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.reconciliation.errors import ReconciliationBusyError, ReconciliationIncompleteError
from billing_worker.domains.reconciliation.queries import lock_run
from billing_worker.domains.reconciliation.rules import Scope
from billing_worker.domains.reconciliation.services.confirm_heals import confirm_heals
from billing_worker.domains.reconciliation.services.start_run import start_run
from billing_worker.domains.reconciliation.services.take_step import take_step
from billing_worker.domains.reconciliation.states import RunStatus
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.stripe_gateway.client import StripeGateway

_log = structlog.get_logger(__name__)

Progress = Callable[[str, int], None]
"""Told the type under way and how many objects were compared so far."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a run found; `healed` are the differences whose snapshot has reached the mirror by now."""

    run_id: int
    status: RunStatus
    compared: int
    differing: int
    refreshed: int
    healed: int


def reconcile(
    unit_of_work: UnitOfWork,
    gateway: StripeGateway,
    *,
    scope: Scope,
    started_by: str,
    account_id: str = "",
    must_resume: bool = False,
    on_progress: Progress = lambda _type, _compared: None,
) -> Reconciled:
    """Run one reconciliation to its end, or from where an incomplete one of the same scope stopped.

    Phases: per page the read at Stripe, then one transaction with what it showed and the new cursor; after a type's
    last page the mirrored objects that were not seen are asked for one by one.
    Idempotent by: the run's cursor, its seen objects and its differences.
    Raises: ReconciliationIncompleteError when Stripe would not go on, TerminalError when it refused; both leave the run
    incomplete. ReconciliationBusyError, NothingToResumeError.
    """
    with unit_of_work.transaction() as session:
        run = start_run(
            session,
            account_id=account_id,
            scope=scope,
            started_by=started_by,
            must_resume=must_resume,
            now=unit_of_work.now(),
        )
    scope = Scope.read(run.scope)
    try:
        cursor: Mapping[str, Any] | None = run.cursor
        while cursor is not None:
            on_progress(cursor["type"], run.compared)
            run = take_step(unit_of_work, gateway, run, scope)
            cursor = run.cursor or None
    except (RetryableError, TerminalError) as error:
        if not isinstance(error, ReconciliationBusyError):
            _end(unit_of_work, run.id, RunStatus.INCOMPLETE, str(error))
        if isinstance(error, RetryableError):
            raise ReconciliationIncompleteError(
                f"reconciliation {run.id} stopped at {run.cursor.get('type')}: {error}; "
                "go on with `nself billing reconcile --resume`"
            ) from error
        raise
    return _end(unit_of_work, run.id, RunStatus.DONE, run.detail)


def _end(unit_of_work: UnitOfWork, run_id: int, status: RunStatus, detail: str) -> Reconciled:
    with unit_of_work.transaction() as session:
        confirm_heals(session, now=unit_of_work.now())
        run = lock_run(session, run_id)
        run.status = status
        run.detail = detail[:500]
        if status is RunStatus.DONE:
            run.finished_at = unit_of_work.now()
        ended = Reconciled(run.id, status, run.compared, run.differing, run.refreshed, run.healed)
    _log.info(
        "reconciliation_ended",
        run_id=run_id,
        status=status.value,
        compared=ended.compared,
        differing=ended.differing,
        healed=ended.healed,
    )
    return ended
