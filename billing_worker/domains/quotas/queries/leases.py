"""SQL of leases: units that PostgreSQL has committed and Redis may spend, and who spends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.states import LeaseEnd

_OPEN = (
    "SELECT l.id, l.quota_period_id, l.units, l.granted_at, l.expires_at, l.missing_since, "
    "count(*) FILTER (WHERE s.spender_id IS NOT NULL AND s.units IS NULL) AS silent, "
    "coalesce(sum(s.units), 0)::bigint AS reported "
    "FROM billing.billing_quota_leases l LEFT JOIN billing.billing_quota_lease_spenders s ON s.lease_id = l.id "
    "WHERE l.returned_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class OpenLease:
    """A lease whose units are held.

    Shape: `silent` counts the spenders that have not said yet what they spent, `reported` is what the others did.
    """

    id: UUID
    quota_period_id: int
    units: int
    granted_at: datetime
    expires_at: datetime
    missing_since: datetime | None
    silent: int
    reported: int

    def is_known(self, now: datetime) -> bool:
        """Say whether all that was spent of a lease nobody may join any more has been reported."""
        return self.silent == 0 and (self.missing_since is not None or self.expires_at <= now)


def list_open_leases(session: Session, period_id: int) -> list[OpenLease]:
    """Return the leases of a period that still hold units, oldest first."""
    statement = text(f"{_OPEN} AND l.quota_period_id = :period_id GROUP BY l.id ORDER BY l.granted_at, l.id")
    return [OpenLease(*row) for row in session.execute(statement, {"period_id": period_id})]


def list_expired_leases(session: Session, *, before: datetime, limit: int) -> list[tuple[OpenLease, str, int]]:
    """Return leases that have expired and still hold units, each with its user and its quota."""
    statement = text(
        f"WITH expired AS MATERIALIZED ({_OPEN} AND l.expires_at <= :before GROUP BY l.id "  # noqa: S608 - a constant of this module
        "ORDER BY l.expires_at LIMIT :limit) SELECT e.*, p.user_id, p.quota_id FROM expired e "
        "JOIN billing.billing_quota_periods p ON p.id = e.quota_period_id ORDER BY p.quota_id, e.granted_at, e.id"
    )
    rows = session.execute(statement, {"before": before, "limit": limit})
    return [(OpenLease(*row[:8]), row[8], row[9]) for row in rows]


def count_expired_leases(session: Session, *, before: datetime, limit: int) -> int:
    """Count leases that have expired and still hold units, up to a limit."""
    statement = text(
        "SELECT count(*) FROM (SELECT 1 FROM billing.billing_quota_leases "
        "WHERE returned_at IS NULL AND expires_at <= :before LIMIT :limit) AS expired"
    )
    return int(session.execute(statement, {"before": before, "limit": limit}).scalar_one())


def insert_lease(
    session: Session, lease_id: UUID, period_id: int, units: int, *, now: datetime, expires_at: datetime
) -> None:
    """Commit units to be spent elsewhere."""
    statement = text(
        "INSERT INTO billing.billing_quota_leases (id, quota_period_id, units, granted_at, expires_at) "
        "VALUES (:id, :period_id, :units, :now, :expires_at)"
    )
    parameters = {"id": lease_id, "period_id": period_id, "units": units, "now": now, "expires_at": expires_at}
    session.execute(statement, parameters)


def add_spender(session: Session, lease_id: UUID, spender_id: UUID) -> bool:
    """Note that somebody may spend a lease, and say whether he may: one who has reported is done with it."""
    statement = text(
        "INSERT INTO billing.billing_quota_lease_spenders AS s (lease_id, spender_id) VALUES (:lease_id, :spender_id) "
        "ON CONFLICT (lease_id, spender_id) DO UPDATE SET spender_id = s.spender_id WHERE s.units IS NULL "
        "RETURNING lease_id"
    )
    found = session.execute(statement, {"lease_id": lease_id, "spender_id": spender_id}).scalar_one_or_none()
    return found is not None


def report_spent(session: Session, spender_id: UUID, spent: Mapping[UUID, int], *, now: datetime) -> None:
    """Write what a spender has spent of leases he is done with; the first report stands."""
    if not spent:
        return
    ordered: Sequence[UUID] = sorted(spent)
    statement = text(
        "UPDATE billing.billing_quota_lease_spenders s SET units = n.units, reported_at = :now "
        "FROM unnest(CAST(:leases AS uuid[]), CAST(:units AS bigint[])) AS n (lease_id, units) "
        "WHERE s.lease_id = n.lease_id AND s.spender_id = :spender_id AND s.units IS NULL"
    )
    units = [spent[lease_id] for lease_id in ordered]
    parameters = {"leases": ordered, "units": units, "spender_id": spender_id, "now": now}
    session.execute(statement, parameters)


def mark_missing(session: Session, lease_ids: Sequence[UUID], *, now: datetime) -> None:
    """Note that Redis has lost leases, so that nobody joins them any more."""
    statement = text(
        "UPDATE billing.billing_quota_leases SET missing_since = :now "
        "WHERE id = ANY(:ids) AND returned_at IS NULL AND missing_since IS NULL"
    )
    session.execute(statement, {"ids": list(lease_ids), "now": now})


def end_lease(session: Session, lease_id: UUID, *, spent: int, ended_by: LeaseEnd, now: datetime) -> bool:
    """End a lease, and say whether it was still open."""
    statement = text(
        "UPDATE billing.billing_quota_leases SET spent = least(:spent, units), returned_at = :now, "
        "ended_by = :ended_by WHERE id = :id AND returned_at IS NULL"
    )
    parameters = {"id": lease_id, "spent": spent, "ended_by": ended_by.value, "now": now}
    result = cast("CursorResult[Any]", session.execute(statement, parameters))
    return result.rowcount == 1


def delete_old_leases(session: Session, *, before: datetime, limit: int) -> int:
    """Delete leases that ended long ago, with their spenders."""
    statement = text(
        "DELETE FROM billing.billing_quota_leases WHERE id IN (SELECT id FROM billing.billing_quota_leases "
        "WHERE returned_at < :before ORDER BY returned_at LIMIT :limit)"
    )
    result = cast("CursorResult[Any]", session.execute(statement, {"before": before, "limit": limit}))
    return result.rowcount


LEASE_LASTS = timedelta(seconds=30)
"""What a flush of Redis can refuse comes back after so long at the latest."""
