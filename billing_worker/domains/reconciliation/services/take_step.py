"""Do one step of a reconciliation: a page of Stripe's list, or a batch of objects that the list did not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.reconciliation.errors import ReconciliationBusyError
from billing_worker.domains.reconciliation.models import ReconciliationRun, SeenObject
from billing_worker.domains.reconciliation.queries import list_unseen, lock_run
from billing_worker.domains.reconciliation.rules import Scope
from billing_worker.domains.reconciliation.services.compare_page import compare_page
from billing_worker.domains.reconciliation.services.confirm_missing import confirm_missing
from billing_worker.domains.reconciliation.states import RunStatus
from billing_worker.mirror.registry import REGISTRY
from billing_worker.stripe_gateway.client import Page, StripeGateway
from billing_worker.stripe_gateway.errors import StripeNotFound, StripeRefused


def take_step(
    unit_of_work: UnitOfWork, gateway: StripeGateway, run: ReconciliationRun, scope: Scope
) -> ReconciliationRun:
    """Do what the run's cursor says and return the run with its next cursor, empty at the end.

    Phases: the read at Stripe; then what it showed and the new cursor in one transaction.
    Idempotent by: the cursor, which is moved only from where it was read.
    Raises: RateLimited, StripeUnavailable, StripeKeyRejected, StripeRefused; ReconciliationBusyError when another
    process has taken the run over.
    """
    cursor = run.cursor
    object_type = cursor["type"]
    following = scope.next_type(object_type)
    next_type = {"type": following, "after": None} if following else {}
    if "unseen_after" in cursor:
        with unit_of_work.transaction() as session:
            ids = list_unseen(session, run, object_type, after=cursor["unseen_after"], size=scope.batch_size)
        confirm_missing(unit_of_work, gateway, run.id, run.account_id, object_type, ids)
        return _advance(unit_of_work, run, {"type": object_type, "unseen_after": ids[-1]} if ids else next_type)
    try:
        page = _read_page(gateway, run, scope)
    except (StripeNotFound, StripeRefused) as error:
        if cursor["after"] is not None:
            # The object at the cursor is gone: the type begins anew, what was seen stays seen.
            return _advance(unit_of_work, run, {"type": object_type, "after": None})
        if isinstance(error, StripeRefused):
            raise
        return _advance(unit_of_work, run, next_type, note=f"Stripe has no list of {object_type}")
    with unit_of_work.transaction() as session:
        locked = _lock_mine(lock_run(session, run.id), run)
        now = unit_of_work.now()
        compare_page(session, locked, object_type, page.data, observed_at=page.observed_at, now=now)
        is_last = not page.has_more or not page.data
        after = {"unseen_after": ""} if is_last else {"after": page.data[-1]["id"]}
        return _move(locked, {"type": object_type, **after})


def _read_page(gateway: StripeGateway, run: ReconciliationRun, scope: Scope) -> Page:
    object_type = run.cursor["type"]
    return gateway.list_page(
        str(REGISTRY[object_type].path),
        params=scope.list_params(object_type),
        starting_after=run.cursor["after"],
        limit=scope.batch_size,
        account_id=run.account_id,
    )


def _advance(
    unit_of_work: UnitOfWork, run: ReconciliationRun, onwards: Mapping[str, Any], *, note: str = ""
) -> ReconciliationRun:
    with unit_of_work.transaction() as session:
        locked = _lock_mine(lock_run(session, run.id), run)
        if onwards.get("type") != run.cursor["type"]:
            session.execute(
                delete(SeenObject).where(SeenObject.run_id == run.id, SeenObject.object_type == run.cursor["type"])
            )
        if note:
            locked.detail = f"{locked.detail}; {note}" if locked.detail else note
        return _move(locked, onwards)


def _lock_mine(locked: ReconciliationRun, mine: ReconciliationRun) -> ReconciliationRun:
    if locked.status is not RunStatus.RUNNING or locked.cursor != mine.cursor:
        raise ReconciliationBusyError(f"reconciliation {mine.id} was taken over by another process")
    return locked


def _move(run: ReconciliationRun, onwards: Mapping[str, Any]) -> ReconciliationRun:
    run.cursor = dict(onwards)
    run.heartbeat_at = func.clock_timestamp()
    return run
