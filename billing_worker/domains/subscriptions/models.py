"""Rows of this slice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ARRAY, Text
from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base, EnumText
from billing_worker.domains.subscriptions.states import Access


class CustomerAccess(Base):
    """A customer's access, computed from the mirror's subscriptions; an operator's override stands above it."""

    __tablename__ = "billing_customer_access"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(primary_key=True)
    access: Mapped[Access] = mapped_column(EnumText(Access))
    price_ids: Mapped[list[str]] = mapped_column(ARRAY(Text))
    subscription_id: Mapped[str | None]
    overridden_by: Mapped[str | None]
    override_reason: Mapped[str | None]
    computed_at: Mapped[datetime]
