"""Store what became of an overage's invoice item."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.overage.queries.overages import lock_row
from billing_worker.domains.overage.services.start_billing import start_billing
from billing_worker.domains.overage.states import OverageStatus
from billing_worker.effects.intents import IntentOutcome, IntentStatus

PARKED_WAIT = timedelta(hours=1)
WAITS = "an item without a subscription waits for the customer's next invoice"

_log = structlog.get_logger(__name__)


def settle_overage(session: Session, row_id: int, outcome: IntentOutcome, *, now: datetime) -> OverageStatus:
    """Store the outcome of a row's intent and return the row's status.

    Shape: a refusal of the draft, which was finalised in between, starts one more intent without the draft.
    Idempotent by: the row's status. Locks: the row.
    """
    row = lock_row(session, row_id)
    if row.status is not OverageStatus.BILLING:
        return row.status
    match outcome.status:
        case IntentStatus.SUCCEEDED:
            row.status = OverageStatus.BILLED
            row.invoice_item_id, row.billed_at, row.next_attempt_at = outcome.stripe_id, now, None
            if row.invoice_id is None and row.subscription_id is None:
                row.detail = f"{WAITS}: `nself billing invoice create --customer {row.customer_id}`"
        case IntentStatus.FAILED | IntentStatus.DECLINED if row.invoice_id is not None:
            row.attempt += 1
            start_billing(session, row, subscription_id=row.subscription_id, draft_id=None, now=now)
        case IntentStatus.FAILED | IntentStatus.DECLINED:
            row.status, row.next_attempt_at = OverageStatus.FAILED, None
            row.detail = outcome.detail
        case IntentStatus.PARKED:
            row.next_attempt_at = now + PARKED_WAIT
            row.detail = f"{outcome.detail}; `nself billing intent resolve {row.intent_id}`"
        case _:
            row.next_attempt_at = outcome.next_attempt_at or now + PARKED_WAIT
            row.detail = outcome.detail
    _log.info(
        "overage_billed" if row.status is OverageStatus.BILLED else "overage_not_billed_yet",
        overage_key=row.overage_key,
        status=row.status.value,
        invoice_item_id=row.invoice_item_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
    )
    return row.status
