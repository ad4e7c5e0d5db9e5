"""Release the stored payments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.payments.models import QueuedPayment
from billing_worker.domains.payments.queries import claim_queued_payments, lock_queued_payment, lock_retry
from billing_worker.domains.payments.rules import CLAIM
from billing_worker.domains.payments.services.settle_retry import settle_retry
from billing_worker.domains.payments.states import OPEN_RETRIES, QueueStatus, RetryStatus
from billing_worker.effects.intents import ENDED, IntentBusyError, IntentOutcome, IntentStatus, SnapshotSink
from billing_worker.effects.services.create_intent import create_intent
from billing_worker.effects.services.run_intent import run_intent
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.switches.board import SwitchBoard


def process_payment_queue(
    unit_of_work: UnitOfWork, gateway: StripeGateway, *, board: SwitchBoard, sink: SnapshotSink, batch_size: int = 100
) -> Mapping[str, int]:
    """Make the payments that were stored while the queue was on, oldest first, and count how they ended.

    Phases: release a batch (intents stored, committed); then each call and its outcome, committed one by one.
    Idempotent by: the payment's key, which is its intent's key; a released payment that a crash left is taken up again.
    """
    counts: Counter[str] = Counter()
    after_id = 0
    while True:
        with unit_of_work.transaction() as session:
            released = [
                _release(session, payment, unit_of_work.now())
                for payment in claim_queued_payments(session, size=batch_size, after_id=after_id)
            ]
        if not released:
            return counts
        after_id = released[-1].payment_id
        for payment in released:
            if payment.intent_id is None:
                counts["discarded"] += 1
                continue
            try:
                outcome = run_intent(unit_of_work, gateway, payment.intent_id, board=board, sink=sink)
            except IntentBusyError:
                counts["busy"] += 1
                continue
            with unit_of_work.transaction() as session:
                counts[_settle(session, payment, outcome, unit_of_work.now())] += 1


@dataclass(frozen=True, slots=True)
class _Released:
    payment_id: int
    intent_id: UUID | None
    retry_id: int | None


def _release(session: Session, payment: QueuedPayment, now: datetime) -> _Released:
    stored = payment.parameters
    retry = lock_retry(session, stored["retry_id"]) if stored.get("retry_id") else None
    if retry is not None and retry.status not in OPEN_RETRIES:
        payment.status, payment.finished_at = QueueStatus.DISCARDED, now
        payment.detail = f"the invoice was settled meanwhile: its retry is {retry.status}"
        return _Released(payment.id, None, None)
    payment.status = QueueStatus.RELEASED
    payment.intent_id = create_intent(
        session,
        account_id=payment.account_id,
        intent_key=payment.payment_key,
        operation=stored["operation"],
        parameters=stored["body"],
        path_ids=stored["path"],
        customer_id=payment.customer_id,
        parent_key=stored.get("parent_key"),
        # The operator released it, so switched-off automatic collection does not hold it.
        priority="interactive",
        now=now,
    )
    if retry is not None:
        retry.intent_id, retry.status = payment.intent_id, RetryStatus.TRYING
        # If this process dies, the collector takes the retry up again.
        retry.next_attempt_at = now + CLAIM
    return _Released(payment.id, payment.intent_id, None if retry is None else retry.id)


def _settle(session: Session, released: _Released, outcome: IntentOutcome, now: datetime) -> str:
    payment = lock_queued_payment(session, released.payment_id)
    payment.detail = outcome.detail
    if outcome.status in ENDED:
        is_done = outcome.status is IntentStatus.SUCCEEDED
        payment.status = QueueStatus.DONE if is_done else QueueStatus.FAILED
        payment.finished_at = now
    if released.retry_id is not None:
        settle_retry(session, released.retry_id, outcome, now=now)
    return payment.status.value
