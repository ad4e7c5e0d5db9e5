"""SQL of what leases and reservations hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Holds:
    """What is held of a period, and by how many."""

    leased: int
    leases: int
    reserved: int
    reservations: int


def read_holds(session: Session, period_ids: Sequence[int]) -> dict[int, Holds]:
    """Read what is held of each of some periods."""
    statement = text(
        "SELECT p.id, coalesce(l.units, 0), coalesce(l.number, 0), coalesce(r.units, 0), coalesce(r.number, 0) "
        "FROM unnest(CAST(:ids AS bigint[])) AS p (id) "
        "LEFT JOIN (SELECT quota_period_id, sum(units)::bigint AS units, count(*) AS number "
        "  FROM billing.billing_quota_leases WHERE returned_at IS NULL AND quota_period_id = ANY(:ids) GROUP BY 1) l "
        "  ON l.quota_period_id = p.id "
        "LEFT JOIN (SELECT quota_period_id, sum(units)::bigint AS units, count(*) AS number "
        "  FROM billing.billing_quota_reservations WHERE status = 'open' AND quota_period_id = ANY(:ids) GROUP BY 1) r "
        "  ON r.quota_period_id = p.id"
    )
    return {row[0]: Holds(*row[1:]) for row in session.execute(statement, {"ids": list(period_ids)})}
