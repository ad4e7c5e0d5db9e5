"""Rows of this slice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base


class CustomerUser(Base):
    """Which user of the application a customer is; a user has one customer, a customer one user."""

    __tablename__ = "billing_customer_users"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    linked_at: Mapped[datetime]
    linked_by: Mapped[str]
