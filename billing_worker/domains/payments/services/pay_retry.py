"""Pay the invoice of one due retry, now or through the payment queue."""

from __future__ import annotations

from uuid import UUID

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.payments.models import PaymentRetry
from billing_worker.domains.payments.queries import lock_retry
from billing_worker.domains.payments.services.queue_payment import StoredPayment, queue_payment
from billing_worker.domains.payments.services.settle_retry import settle_retry
from billing_worker.domains.payments.states import OPEN_RETRIES, RetryStatus
from billing_worker.effects.intents import SnapshotSink
from billing_worker.effects.services.create_intent import create_intent
from billing_worker.effects.services.run_intent import run_intent
from billing_worker.kernel.keys import object_key
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.switches.board import SwitchBoard

OPERATION = "invoices.pay"


def pay_retry(
    unit_of_work: UnitOfWork, gateway: StripeGateway, retry: PaymentRetry, *, board: SwitchBoard, sink: SnapshotSink
) -> RetryStatus:
    """Pay one invoice that is known to be open and return what became of its retry.

    Phases: intent stored and retry marked (committed), call, settled (committed); with the payment queue on, the
    payment is stored there instead, once.
    Idempotent by: the payment's key, which names the invoice, the failure it answers and the plan.
    """
    intent_id = _start(unit_of_work, retry, board=board)
    if intent_id is None:
        return RetryStatus.WAITING
    outcome = run_intent(unit_of_work, gateway, intent_id, board=board, sink=sink)
    with unit_of_work.transaction() as session:
        return settle_retry(session, retry.id, outcome, now=unit_of_work.now())


def _start(unit_of_work: UnitOfWork, retry: PaymentRetry, *, board: SwitchBoard) -> UUID | None:
    # The plan's time tells a second try after a refusal (a new card) from a repetition after a crash.
    planned_for = retry.due_at or retry.failed_at
    key = f"pay_invoice:{retry.invoice_id}:{retry.attempt_count}:{int(planned_for.timestamp())}"
    parent_key = object_key(retry.account_id, "invoice", retry.invoice_id)
    with unit_of_work.transaction() as session:
        now = unit_of_work.now()
        locked = lock_retry(session, retry.id)
        if locked.status not in OPEN_RETRIES:
            return None
        if locked.intent_id is None and board.read(session).queue_payments:
            locked.next_attempt_at = None
            parameters = {
                "operation": OPERATION,
                "path": {"id": retry.invoice_id},
                "body": {"off_session": True},
                "parent_key": parent_key,
                "retry_id": retry.id,
            }
            payment = StoredPayment(
                account_id=retry.account_id,
                payment_key=key,
                customer_id=retry.customer_id or "",
                invoice_id=retry.invoice_id,
                amount_minor=retry.amount_minor or None,
                currency=retry.currency,
                parameters=parameters,
            )
            queue_payment(session, payment, now=now)
            return None
        locked.intent_id = create_intent(
            session,
            account_id=retry.account_id,
            intent_key=key,
            operation=OPERATION,
            parameters={"off_session": True},
            path_ids={"id": retry.invoice_id},
            customer_id=retry.customer_id,
            parent_key=parent_key,
            priority="payments",
            now=now,
        )
        locked.status = RetryStatus.TRYING
        return locked.intent_id
