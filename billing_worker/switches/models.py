"""The switches' rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base


class Switch(Base):
    """One switch that an operator has set; a switch without a row has its first value from the environment."""

    __tablename__ = "billing_switches"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    reason: Mapped[str]
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]
