"""Rows of the schedule ledger and of leader leases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Identity, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base, EnumText
from billing_worker.worker.ledger.states import RunStatus


class ScheduleJob(Base):
    """Where a job stands: its schedule as text and the next slot that is not a run yet."""

    __tablename__ = "billing_schedule_jobs"

    job: Mapped[str] = mapped_column(primary_key=True)
    schedule: Mapped[str]
    next_due_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ScheduleRun(Base):
    """One slot of one job.

    Units: `due_at`, `not_before`, `started_at`, `finished_at`, `created_at` are billing time; `lease_until` and
    `heartbeat_at` are the database's own time, because a lease must not expire when the billing clock is moved.
    """

    __tablename__ = "billing_schedule_runs"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    job: Mapped[str]
    due_at: Mapped[datetime]
    status: Mapped[RunStatus] = mapped_column(EnumText(RunStatus))
    attempts: Mapped[int] = mapped_column(SmallInteger)
    not_before: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    worker: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    report: Mapped[dict[str, Any] | None]
    detail: Mapped[str]
    created_at: Mapped[datetime]


class Lease(Base):
    """Who leads; expiry in the database's own time."""

    __tablename__ = "billing_leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    expires_at: Mapped[datetime]
