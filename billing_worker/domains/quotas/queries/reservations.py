"""SQL of reservations: units held for one piece of work, until it is done, given up or forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.states import ReservationStatus

_COLUMNS = (
    "r.id, r.quota_period_id, p.quota_id, p.user_id, p.metric_type, r.units, r.spent, r.expires_at, r.ended_at, "
    "r.status"
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation as stored."""

    id: UUID
    quota_period_id: int
    quota_id: int
    user_id: str
    metric_type: str
    units: int
    spent: int | None
    expires_at: datetime
    ended_at: datetime | None
    status: ReservationStatus


def find_reservation(session: Session, reservation_id: UUID) -> Reservation | None:
    """Return a reservation; whoever changes it has locked its quota before."""
    statement = text(
        f"SELECT {_COLUMNS} FROM billing.billing_quota_reservations r "  # noqa: S608 - constants of this module
        "JOIN billing.billing_quota_periods p ON p.id = r.quota_period_id WHERE r.id = :id"
    )
    row = session.execute(statement, {"id": reservation_id}).mappings().one_or_none()
    return None if row is None else Reservation(**{**row, "status": ReservationStatus(row["status"])})


def insert_reservation(
    session: Session, reservation_id: UUID, period_id: int, units: int, *, now: datetime, expires_at: datetime
) -> None:
    """Hold units."""
    statement = text(
        "INSERT INTO billing.billing_quota_reservations (id, quota_period_id, units, reserved_at, expires_at) "
        "VALUES (:id, :period_id, :units, :now, :expires_at)"
    )
    parameters = {"id": reservation_id, "period_id": period_id, "units": units, "now": now, "expires_at": expires_at}
    session.execute(statement, parameters)


def end_reservation(
    session: Session, reservation_id: UUID, status: ReservationStatus, *, spent: int | None, now: datetime
) -> None:
    """End an open reservation."""
    statement = text(
        "UPDATE billing.billing_quota_reservations SET status = :status, spent = :spent, ended_at = :now "
        "WHERE id = :id AND status = 'open'"
    )
    session.execute(statement, {"id": reservation_id, "status": status.value, "spent": spent, "now": now})


def expire_reservations(session: Session, quota_ids: Sequence[int], *, now: datetime) -> None:
    """Let go what the reservations of some quotas held beyond their time."""
    statement = text(
        "UPDATE billing.billing_quota_reservations r SET status = 'expired', ended_at = :now "
        "FROM billing.billing_quota_periods p WHERE p.id = r.quota_period_id AND p.quota_id = ANY(:quota_ids) "
        "AND r.status = 'open' AND r.expires_at <= :now"
    )
    session.execute(statement, {"quota_ids": list(quota_ids), "now": now})


def list_quotas_of_expired(session: Session, *, now: datetime, limit: int) -> list[int]:
    """Return quotas with reservations that should have ended."""
    statement = text(
        "SELECT DISTINCT p.quota_id FROM (SELECT quota_period_id FROM billing.billing_quota_reservations "
        "WHERE status = 'open' AND expires_at <= :now LIMIT :limit) r "
        "JOIN billing.billing_quota_periods p ON p.id = r.quota_period_id ORDER BY 1"
    )
    return list(session.execute(statement, {"now": now, "limit": limit}).scalars())


def delete_old_reservations(session: Session, *, before: datetime, limit: int) -> int:
    """Delete reservations that ended long ago."""
    statement = text(
        "DELETE FROM billing.billing_quota_reservations WHERE id IN (SELECT id "
        "FROM billing.billing_quota_reservations WHERE ended_at < :before LIMIT :limit)"
    )
    result = cast("CursorResult[Any]", session.execute(statement, {"before": before, "limit": limit}))
    return result.rowcount
