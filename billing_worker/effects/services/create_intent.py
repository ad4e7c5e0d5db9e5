"""Store an intent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_worker.effects.intents import Intent, IntentConflictError, IntentStatus, idempotency_key_of
from billing_worker.stripe_gateway.client import API_VERSION
from billing_worker.stripe_gateway.operations import operation_named

GRACE = timedelta(minutes=1)
"""Whoever stores an intent runs it at once; the rescue takes only what was left behind."""

Priority = Literal["interactive", "webhooks", "payments", "reconciliation"]


def create_intent(
    session: Session,
    *,
    account_id: str,
    intent_key: str,
    operation: str,
    parameters: Mapping[str, Any],
    path_ids: Mapping[str, str] | None = None,
    customer_id: str | None,
    parent_key: str | None,
    priority: Priority = "interactive",
    now: datetime,
) -> UUID:
    """Store what Stripe shall be asked for and return the intent's id; nothing is called yet.

    Shape: `parent_key` is the object key of what the call is about (the invoice that is paid).
    Idempotent by: account and `intent_key`: an intent that is there already is returned.
    Raises: IntentConflictError when it is there with another operation or other parameters.
    """
    operation_named(operation)
    stored = {"path": dict(path_ids or {}), "body": {k: v for k, v in parameters.items() if v is not None}}
    new = Intent(
        id=uuid4(),
        account_id=account_id,
        intent_key=intent_key,
        operation=operation,
        priority=priority,
        parameters=stored,
        customer_id=customer_id,
        parent_key=parent_key,
    )
    _insert(session, new, now)
    intent = session.scalars(
        select(Intent).where(Intent.account_id == account_id, Intent.intent_key == intent_key)
    ).one()
    if (intent.operation, intent.parameters) != (operation, stored):
        raise IntentConflictError(
            f"intent {intent_key} was stored before as {intent.operation} with other parameters: "
            "use another idempotency key for another payment"
        )
    return intent.id


def _insert(session: Session, new: Intent, now: datetime) -> None:
    session.execute(
        insert(Intent)
        .values(
            id=new.id,
            account_id=new.account_id,
            intent_key=new.intent_key,
            operation=new.operation,
            priority=new.priority,
            parameters=new.parameters,
            api_version=API_VERSION,
            customer_id=new.customer_id,
            parent_key=new.parent_key,
            generation=1,
            idempotency_key=idempotency_key_of(new.id, 1),
            status=IntentStatus.PENDING,
            attempts=0,
            detail="",
            next_attempt_at=now + GRACE,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=[Intent.account_id, Intent.intent_key])
    )
