"""Phase (c) of an intent: store what came of the call, together with Stripe's object on its way to the mirror."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_worker.effects.intents import (
    ENDED,
    MAX_ATTEMPTS,
    Intent,
    IntentOutcome,
    IntentStatus,
    SnapshotSink,
    wait_after,
)
from billing_worker.effects.services.begin_intent import CallPlan, stored_outcome
from billing_worker.kernel.errors import TerminalError
from billing_worker.mirror.registry import REGISTRY
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import CardDeclined, StripeKeyRejected, StripeNotFound, StripeRefused

_log = structlog.get_logger(__name__)


def finish_intent(
    session: Session,
    plan: CallPlan,
    result: Retrieved | Exception,
    *,
    status: IntentStatus,
    detail: str = "",
    sink: SnapshotSink,
    now: datetime,
) -> IntentOutcome:
    """Store the result of one call; an answer goes into the inbox in the same transaction.

    Idempotent by: status and generation: what another worker has already finished is left as it is.
    Locks: the intent's row.
    """
    intent = session.execute(select(Intent).where(Intent.id == plan.intent_id).with_for_update()).scalar_one()
    if intent.status in ENDED or intent.generation != plan.generation:
        return stored_outcome(intent)
    intent.lease_until = None
    intent.status = status
    intent.detail = (detail or (str(result) if isinstance(result, Exception) else ""))[:500]
    snapshot_row_id = None
    if isinstance(result, Retrieved):
        snapshot_row_id = _keep_answer(session, intent, result, sink=sink, now=now)
    else:
        _keep_error(intent, result)
    if status in ENDED:
        intent.finished_at = now
    else:
        _schedule_next(intent, now)
    _log_run(intent)
    outcome = stored_outcome(intent)
    if isinstance(result, Retrieved):
        return replace(outcome, data=result.data, snapshot_row_id=snapshot_row_id)
    return outcome


def _log_run(intent: Intent) -> None:
    _log.info(
        "intent_ran",
        intent_id=str(intent.id),
        intent_key=intent.intent_key,
        operation=intent.operation,
        status=intent.status.value,
        generation=intent.generation,
        attempts=intent.attempts,
        error_code=intent.error_code,
    )


def _keep_answer(
    session: Session, intent: Intent, answer: Retrieved, *, sink: SnapshotSink, now: datetime
) -> int | None:
    data = answer.data
    intent.stripe_id = data.get("id")
    intent.request_id = answer.request_id
    intent.error_code = intent.decline_code = None
    # The full object lies in the inbox, where an erasure finds it.
    intent.response = {name: data[name] for name in ("id", "object", "status", "deleted") if name in data}
    if data.get("object") not in REGISTRY or not data.get("id"):
        return None
    return sink(
        session,
        account_id=intent.account_id,
        obj=data,
        observed_at=answer.observed_at,
        now=now,
    )


def _keep_error(intent: Intent, error: Exception) -> None:
    if isinstance(error, CardDeclined | StripeRefused):
        intent.error_code = error.code
        intent.request_id = error.request_id
    if isinstance(error, CardDeclined):
        intent.decline_code = error.decline_code
        intent.stripe_id = error.payment_intent_id
    if isinstance(error, StripeKeyRejected):
        intent.error_code = "key_rejected"
    if isinstance(error, StripeNotFound):
        intent.error_code = "resource_missing"


def _schedule_next(intent: Intent, now: datetime) -> None:
    if intent.attempts >= MAX_ATTEMPTS:
        intent.status = IntentStatus.PARKED
        intent.finished_at = now
        intent.detail = f"no outcome after {intent.attempts} attempts; last: {intent.detail}"[:500]
        return
    intent.next_attempt_at = now + wait_after(intent.attempts)


def status_of_error(error: Exception) -> IntentStatus:
    """Tell what a failed call means for its intent.

    Shape: declined and failed are final; everything else stays `calling`, because an earlier call under the same key
    may have happened even when this one did not. A rejected key is mended by the operator, then the call goes on.
    """
    if isinstance(error, CardDeclined):
        return IntentStatus.DECLINED
    is_final = isinstance(error, TerminalError) and not isinstance(error, StripeKeyRejected)
    return IntentStatus.FAILED if is_final else IntentStatus.CALLING
