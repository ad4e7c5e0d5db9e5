"""The audit trail's rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Identity
from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.audit.states import ActionOutcome
from billing_worker.database.base import Base, EnumText


class OperatorAction(Base):
    """One action; `arguments` are masked before they come here."""

    __tablename__ = "billing_operator_actions"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    acted_at: Mapped[datetime]
    actor: Mapped[str]
    command: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    reason: Mapped[str]
    outcome: Mapped[ActionOutcome] = mapped_column(EnumText(ActionOutcome))
    detail: Mapped[str]
