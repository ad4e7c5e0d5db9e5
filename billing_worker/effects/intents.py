"""Intents: what we want of Stripe, stored before it is asked for, so that money moves once (ARCHITECTURE §2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import SmallInteger, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from billing_worker.database.base import Base, EnumText
from billing_worker.kernel.errors import RetryableError, TerminalError

KEY_LIFETIME = timedelta(hours=23)
"""Stripe keeps an idempotency key for at least 24 hours (STRIPE.md, “Limits”); one hour is left for slow clocks."""

LEASE_MARGIN = timedelta(seconds=30)
"""A lease outlives the longest call by this, in wall time: a simulated clock may jump."""

MAX_ATTEMPTS = 40
"""With waits of 15 minutes at most this is some nine hours; then an operator has to look."""

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)


class IntentStatus(StrEnum):
    """How far an intent is.

    Shape: pending ⇄ calling → succeeded | declined | failed | parked. `calling` may have happened at Stripe or not;
    `parked` could be proved neither way and waits for an operator.
    """

    PENDING = "pending"
    CALLING = "calling"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    FAILED = "failed"
    PARKED = "parked"


ENDED = frozenset({IntentStatus.SUCCEEDED, IntentStatus.DECLINED, IntentStatus.FAILED, IntentStatus.PARKED})


class Intent(Base):
    """One intent; its row outlives everything it caused.

    Shape: `parameters` is {"path": ids by placeholder, "body": what is sent}; `response` keeps id, type, status.
    """

    __tablename__ = "billing_intents"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[str]
    intent_key: Mapped[str]
    operation: Mapped[str]
    priority: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    api_version: Mapped[str]
    customer_id: Mapped[str | None]
    parent_key: Mapped[str | None]
    generation: Mapped[int] = mapped_column(SmallInteger)
    idempotency_key: Mapped[str]
    first_called_at: Mapped[datetime | None]
    last_called_at: Mapped[datetime | None]
    status: Mapped[IntentStatus] = mapped_column(EnumText(IntentStatus))
    attempts: Mapped[int] = mapped_column(SmallInteger)
    next_attempt_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    stripe_id: Mapped[str | None]
    request_id: Mapped[str | None]
    error_code: Mapped[str | None]
    decline_code: Mapped[str | None]
    detail: Mapped[str]
    response: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class IntentOutcome:
    """Where an intent stands after a run.

    Shape: `data` is Stripe's object when this run received one; `snapshot_row_id` its row in the inbox, for callers
    that wait until the mirror has it. `detail` says why it is not finished or how it failed. `never_happened` says that
    an open intent has certainly done nothing so far: it was held back, or Stripe refused its only call unheard.
    """

    status: IntentStatus
    stripe_id: str | None = None
    stripe_status: str | None = None
    error_code: str | None = None
    decline_code: str | None = None
    detail: str = ""
    next_attempt_at: datetime | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    snapshot_row_id: int | None = None
    never_happened: bool = False


class SnapshotSink(Protocol):
    """Takes an object that Stripe returned on its way to the mirror: `inbox.services.write_through`."""

    def __call__(
        self,
        session: Session,
        *,
        account_id: str,
        obj: Mapping[str, Any],
        observed_at: datetime,
        now: datetime,
    ) -> int:
        """Store the snapshot in the caller's transaction and return its row's id."""
        ...


class IntentConflictError(TerminalError):
    """The same intent key was used before with other parameters."""


class IntentBusyError(RetryableError):
    """Another worker is calling Stripe for this intent right now."""


def idempotency_key_of(intent_id: UUID, generation: int) -> str:
    """Name one generation of an intent at Stripe; a new generation only follows proof that the last did nothing."""
    return f"nself-{intent_id}-{generation}"


def wait_after(attempts: int) -> timedelta:
    """Return the wait after the n-th attempt without an outcome: 5 s, doubling up to 15 minutes."""
    doublings = max(0, min(attempts - 1, 10))
    return min(FIRST_WAIT * float(2**doublings), LONGEST_WAIT)
