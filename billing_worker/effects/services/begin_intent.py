"""Phase (a) of an intent: note that Stripe is about to be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_worker.effects.intents import (
    ENDED,
    KEY_LIFETIME,
    Intent,
    IntentBusyError,
    IntentOutcome,
    IntentStatus,
    idempotency_key_of,
    wait_after,
)
from billing_worker.kernel.errors import NotFoundError
from billing_worker.stripe_gateway.operations import Operation, operation_named
from billing_worker.stripe_gateway.priority import Priority
from billing_worker.switches.board import SwitchBoard


@dataclass(frozen=True, slots=True)
class CallPlan:
    """Everything the call needs, read and committed before the network is touched.

    Shape: `must_prove` says that the key may be forgotten at Stripe: look first whether the call happened. `is_first`
    says that nothing was sent for this intent before.
    """

    intent_id: UUID
    account_id: str
    operation: Operation
    path_ids: Mapping[str, str]
    body: Mapping[str, Any]
    api_version: str
    generation: int
    created_at: datetime
    must_prove: bool
    is_first: bool
    priority: Priority

    @property
    def idempotency_key(self) -> str:
        """Return this generation's key."""
        return idempotency_key_of(self.intent_id, self.generation)


def begin_intent(
    session: Session,
    intent_id: UUID,
    *,
    board: SwitchBoard,
    lease: timedelta,
    now: datetime,
    new_generation: bool = False,
) -> CallPlan | IntentOutcome:
    """Take the lease of an intent and mark it as calling, or tell where it stands if there is nothing to call.

    Shape: `new_generation` is given by the holder of the lease, after proof that the last generation did nothing.
    Locks: the intent's row. Raises: IntentBusyError while another worker holds the lease; NotFoundError.
    """
    intent = _lock(session, intent_id, may_hold_lease=new_generation)
    if intent.status in ENDED:
        return stored_outcome(intent)
    operation = operation_named(intent.operation)
    held = board.read(session).why_money_is_held(automatic=intent.priority == "payments")
    if held is not None and operation.moves_money:
        intent.lease_until = None
        intent.next_attempt_at = now + wait_after(intent.attempts + 1)
        intent.detail = held
        return stored_outcome(intent)
    if new_generation:
        intent.generation += 1
        intent.idempotency_key = idempotency_key_of(intent.id, intent.generation)
        intent.first_called_at = None
    first_called_at = intent.first_called_at or now
    intent.first_called_at = first_called_at
    intent.last_called_at = now
    intent.attempts += 0 if new_generation else 1
    intent.status = IntentStatus.CALLING
    intent.lease_until = session.execute(select(func.clock_timestamp())).scalar_one() + lease
    intent.next_attempt_at = now + wait_after(intent.attempts)
    return CallPlan(
        intent_id=intent.id,
        account_id=intent.account_id,
        operation=operation,
        path_ids=intent.parameters["path"],
        body=_marked(intent, operation),
        api_version=intent.api_version,
        generation=intent.generation,
        created_at=intent.created_at,
        must_prove=now - first_called_at >= KEY_LIFETIME,
        is_first=intent.attempts == 1 and intent.generation == 1,
        priority=Priority(intent.priority),
    )


def stored_outcome(intent: Intent) -> IntentOutcome:
    """Tell where an intent stands according to its row."""
    return IntentOutcome(
        status=intent.status,
        stripe_id=intent.stripe_id,
        stripe_status=(intent.response or {}).get("status"),
        error_code=intent.error_code,
        decline_code=intent.decline_code,
        detail=intent.detail,
        next_attempt_at=intent.next_attempt_at,
        never_happened=intent.status is IntentStatus.PENDING and intent.first_called_at is None,
    )


def _lock(session: Session, intent_id: UUID, *, may_hold_lease: bool) -> Intent:
    found = session.execute(
        select(Intent, Intent.lease_until > func.clock_timestamp())
        .where(Intent.id == intent_id)
        .with_for_update(of=Intent)
    ).one_or_none()
    if found is None:
        raise NotFoundError(f"no intent {intent_id}")
    intent, is_leased = found
    if is_leased and not may_hold_lease and intent.status is IntentStatus.CALLING:
        raise IntentBusyError(f"intent {intent_id} is being called by another worker until {intent.lease_until}")
    return intent


def _marked(intent: Intent, operation: Operation) -> dict[str, Any]:
    body: dict[str, Any] = dict(intent.parameters["body"])
    if operation.takes_metadata:
        body["metadata"] = {**body.get("metadata", {}), "nself_intent": str(intent.id)}
    return body
