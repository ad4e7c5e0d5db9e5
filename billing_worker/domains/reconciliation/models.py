"""Rows of this slice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base, EnumText
from billing_worker.domains.reconciliation.states import DifferenceKind, RunStatus


class ReconciliationRun(Base):
    """One comparison of the mirror with Stripe, resumable at its cursor.

    Shape: `scope` is the stored `rules.Scope`; `cursor` is {"type", "after"}: the type under way and the last id seen.
    `refreshed` counts objects whose changes Stripe tells nobody about, `differing` those whose events were lost.
    """

    __tablename__ = "billing_reconciliation_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    started_by: Mapped[str]
    scope: Mapped[dict[str, Any]] = mapped_column(JSONB)
    cursor: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[RunStatus] = mapped_column(EnumText(RunStatus))
    compared: Mapped[int]
    differing: Mapped[int]
    refreshed: Mapped[int]
    healed: Mapped[int]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    detail: Mapped[str]


class ReconciliationDifference(Base):
    """One object that was not the same here and there.

    Shape: `fields` maps field paths to {"stripe", "here"}; `event_row_id` is the snapshot that heals it.
    """

    __tablename__ = "billing_reconciliation_differences"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int]
    object_key: Mapped[str]
    kind: Mapped[DifferenceKind] = mapped_column(EnumText(DifferenceKind))
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB)
    found_at: Mapped[datetime]
    event_row_id: Mapped[int | None]
    healed_at: Mapped[datetime | None]


class SeenObject(Base):
    """One id that a run has seen at Stripe; gone when its type is done."""

    __tablename__ = "billing_reconciliation_seen"

    run_id: Mapped[int] = mapped_column(primary_key=True)
    object_type: Mapped[str] = mapped_column(primary_key=True)
    object_id: Mapped[str] = mapped_column(primary_key=True)
