"""Rows of this slice."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import SmallInteger, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base, EnumText
from billing_worker.domains.overage.states import OverageKind, OverageSource, OverageStatus


class Overage(Base):
    """What one quota period costs beyond its limit, or a later correction of it.

    Shape: the rows of a period add up, in units and amount, to what its newest row's `used_value`, `granted_value` and
    `price` give. `measured_value` is what the records said when the row was written; `used_value` differs from it only
    where an operator corrected it. `explanation` has the charge's parts for the whole period. `attempt` counts refusals
    by Stripe and tells their intents apart.
    """

    __tablename__ = "billing_overages"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    overage_key: Mapped[str]
    quota_period_id: Mapped[int]
    kind: Mapped[OverageKind] = mapped_column(EnumText(OverageKind))
    status: Mapped[OverageStatus] = mapped_column(EnumText(OverageStatus))
    source: Mapped[OverageSource] = mapped_column(EnumText(OverageSource))
    user_id: Mapped[str]
    metric_type: Mapped[str]
    customer_id: Mapped[str | None]
    subscription_id: Mapped[str | None]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    used_value: Mapped[int]
    measured_value: Mapped[int]
    granted_value: Mapped[int]
    units: Mapped[int]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    price: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    explanation: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    inputs_sha256: Mapped[str]
    attempt: Mapped[int] = mapped_column(SmallInteger, default=0)
    next_attempt_at: Mapped[datetime | None]
    intent_id: Mapped[UUID | None] = mapped_column(Uuid)
    invoice_item_id: Mapped[str | None]
    invoice_id: Mapped[str | None]
    detail: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    computed_at: Mapped[datetime]
    billed_at: Mapped[datetime | None]

    @property
    def intent_key(self) -> str:
        """Return the key under which Stripe is asked for this row's item, this time."""
        return f"{self.overage_key}:try{self.attempt}" if self.attempt else self.overage_key
