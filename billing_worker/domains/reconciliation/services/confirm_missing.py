"""Ask Stripe about the mirrored objects that its list did not have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.reconciliation.models import ReconciliationDifference, ReconciliationRun
from billing_worker.domains.reconciliation.queries import list_unsettled, lock_run
from billing_worker.domains.reconciliation.services.compare_page import compare_page
from billing_worker.domains.reconciliation.states import DifferenceKind
from billing_worker.kernel.keys import object_key
from billing_worker.stripe_gateway.client import Retrieved, StripeGateway
from billing_worker.stripe_gateway.errors import StripeNotFound


def confirm_missing(
    unit_of_work: UnitOfWork, gateway: StripeGateway, run_id: int, account_id: str, object_type: str, ids: Sequence[str]
) -> None:
    """Retrieve each object: one that is there is compared, one that Stripe does not know is recorded.

    What is missing at Stripe is only reported: deleting our row would destroy the last trace of it.
    Phases: the read, then one transaction, for each object. Idempotent by: run and object.
    Raises: RateLimited, StripeUnavailable, StripeKeyRejected.
    """
    for object_id in ids:
        try:
            found: Retrieved | None = gateway.retrieve(object_type, object_id, account_id=account_id)
        except StripeNotFound:
            found = None
        with unit_of_work.transaction() as session:
            run, now = lock_run(session, run_id), unit_of_work.now()
            if found is None:
                _record_missing(session, run, object_key(account_id, object_type, object_id), now)
            else:
                compare_page(session, run, object_type, [found.data], observed_at=found.observed_at, now=now)


def _record_missing(session: Session, run: ReconciliationRun, key: str, now: datetime) -> None:
    if key in list_unsettled(session, [key]):
        return
    added = session.scalar(
        insert(ReconciliationDifference)
        .values(run_id=run.id, object_key=key, kind=DifferenceKind.MISSING_AT_STRIPE, fields={}, found_at=now)
        .on_conflict_do_nothing(constraint="uq_billing_reconciliation_differences")
        .returning(ReconciliationDifference.id)
    )
    run.differing += 1 if added is not None else 0
