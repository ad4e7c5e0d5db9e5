"""SQL that sets a quota's counter beside raw records, and new limits beside past usage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.states import Formula
from billing_worker.kernel.periods import Period

_RAW = {
    Formula.SUM: "coalesce(sum(u.value), 0)",
    Formula.MAX: "coalesce(max(u.value), 0)",
    Formula.UNIQUE: "count(DISTINCT u.unique_key)",
    Formula.LAST: "coalesce((array_agg(u.value ORDER BY u.created_at DESC, u.id DESC))[1], 0)",
}

_WHAT_IF = """
WITH periods AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) AS p (opens_at, closes_at)
), hours AS (
    SELECT h.user_id, p.opens_at, p.closes_at, h.bucket_start,
           sum(h.sum_value) OVER (PARTITION BY h.user_id, p.opens_at ORDER BY h.bucket_start) AS total,
           sum(h.sum_value) OVER (PARTITION BY h.user_id, p.opens_at ORDER BY h.bucket_start) - h.sum_value AS before
    FROM billing.billing_usage_hourly h
    JOIN periods p ON h.bucket_start >= p.opens_at AND h.bucket_start < p.closes_at
    WHERE h.metric_type = :metric AND (CAST(:user_id AS text) IS NULL OR h.user_id = :user_id)
), used AS (
    SELECT user_id, opens_at, closes_at, max(total) AS total,
           min(bucket_start) FILTER (WHERE total >= :limit) AS hour_of_block,
           min(before) FILTER (WHERE total >= :limit) AS before_block
    FROM hours GROUP BY 1, 2, 3
)
SELECT used.user_id, used.opens_at, used.closes_at, used.total,
       coalesce(record.created_at, used.hour_of_block) AS blocked_at, record.created_at IS NOT NULL AS is_exact
FROM used LEFT JOIN LATERAL (
    SELECT r.created_at FROM (
        SELECT u.created_at, u.id, used.before_block + sum(u.value) OVER (ORDER BY u.created_at, u.id) AS total
        FROM billing.billing_usage u
        JOIN billing.billing_usage_batches b ON b.id = u.batch_id AND b.aggregated_at IS NOT NULL
        WHERE u.user_id = used.user_id AND u.metric_type = :metric
          AND u.created_at >= used.hour_of_block AND u.created_at < used.hour_of_block + interval '1 hour'
    ) r WHERE r.total >= :limit ORDER BY r.created_at, r.id LIMIT 1
) record ON used.hour_of_block IS NOT NULL
ORDER BY used.opens_at, blocked_at NULLS LAST, used.user_id
"""


@dataclass(frozen=True, slots=True)
class RawUse:
    """What the raw records of a span say, and how many of them are not aggregated yet."""

    value: int
    records: int
    waiting: int


@dataclass(frozen=True, slots=True)
class PastUse:
    """One user's use of one past period under a limit.

    Shape: `blocked_at` is when the last unit would have gone, exact where the raw records are still there, else the
    hour; None when it would never have.
    """

    user_id: str
    opens_at: datetime
    closes_at: datetime
    total: int
    blocked_at: datetime | None
    is_exact: bool


def read_raw_use(session: Session, user_id: str, metric_type: str, formula: Formula, period: Period) -> RawUse:
    """Compute a span's use from raw records alone."""
    statement = text(
        f"SELECT {_RAW[formula]}, count(*), count(*) FILTER (WHERE b.aggregated_at IS NULL) "  # noqa: S608 - constants
        "FROM billing.billing_usage u JOIN billing.billing_usage_batches b ON b.id = u.batch_id "
        "WHERE u.user_id = :user_id AND u.metric_type = :metric_type "
        "AND u.created_at >= :opens_at AND u.created_at < :closes_at"
    )
    parameters = {
        "user_id": user_id,
        "metric_type": metric_type,
        "opens_at": period.start,
        "closes_at": period.end,
    }
    value, records, waiting = session.execute(statement, parameters).one()
    return RawUse(int(value), records, waiting)


def list_past_uses(
    session: Session, metric_type: str, limit_value: int, periods: Sequence[Period], *, user_id: str | None
) -> list[PastUse]:
    """Replay past usage of a summed metric against a limit, period by period."""
    parameters = {
        "metric": metric_type,
        "limit": limit_value,
        "user_id": user_id,
        "starts": [period.start for period in periods],
        "ends": [period.end for period in periods],
    }
    rows = session.execute(text(_WHAT_IF), parameters)
    return [PastUse(row[0], row[1], row[2], int(row[3]), row[4], bool(row[5])) for row in rows]
