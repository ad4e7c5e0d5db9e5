"""SQL of rhythm: in which hours somebody had usage."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.kernel.periods import Period


def list_active_hours(session: Session, user_id: str, metric: str | None, period: Period) -> dict[str, list[datetime]]:
    """Return the hours with usage of a user, by metric."""
    statement = text(
        "SELECT metric_type, bucket_start FROM billing.billing_usage_hourly "
        "WHERE user_id = :user_id AND (CAST(:metric AS text) IS NULL OR metric_type = :metric) "
        "AND bucket_start >= :opens_at AND bucket_start < :closes_at AND record_count > 0 ORDER BY 1, 2"
    )
    parameters = {"user_id": user_id, "metric": metric, "opens_at": period.start, "closes_at": period.end}
    found: dict[str, list[datetime]] = {}
    for name, hour in session.execute(statement, parameters):
        found.setdefault(name, []).append(hour)
    return found


def count_other_hours(session: Session, user_id: str, period: Period) -> int:
    """Count hours and metrics in which anybody else had usage."""
    statement = text(
        "SELECT count(*) FROM (SELECT DISTINCT metric_type, bucket_start FROM billing.billing_usage_hourly "
        "WHERE user_id <> :user_id AND bucket_start >= :opens_at AND bucket_start < :closes_at) AS others"
    )
    parameters = {"user_id": user_id, "opens_at": period.start, "closes_at": period.end}
    return int(session.execute(statement, parameters).scalar_one())
