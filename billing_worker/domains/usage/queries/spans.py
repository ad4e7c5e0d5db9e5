"""SQL of measuring: the use of any span of time, from the coarsest rollups that fit and raw rows at its ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.rules import Piece, UsageSpan
from billing_worker.domains.usage.states import ROLLUPS, Level
from billing_worker.kernel.periods import Period

_FROM_ROLLUP = """
SELECT p.position, r.record_count, r.sum_value, r.max_value, r.last_value, r.last_at, r.last_id
FROM pieces p JOIN billing.billing_usage_{level} r
  ON r.user_id = p.user_id AND r.metric_type = p.metric_type
 AND r.bucket_start >= p.opens_at AND r.bucket_start < p.closes_at
WHERE p.level = '{level}'
"""

# Only aggregated records: the ends of a span are then as recent as its middle.
_FROM_RAW = """
SELECT p.position, CASE WHEN u.corrects_id IS NULL THEN 1 ELSE -1 END, u.value, u.value, u.value,
       CASE WHEN u.corrects_id IS NULL THEN u.created_at END, u.id
FROM pieces p
JOIN billing.billing_usage u
  ON u.user_id = p.user_id AND u.metric_type = p.metric_type
 AND u.created_at >= p.opens_at AND u.created_at < p.closes_at
JOIN billing.billing_usage_batches b ON b.id = u.batch_id AND b.aggregated_at IS NOT NULL
WHERE p.level = 'raw'
"""

_MEASURE = """
WITH pieces AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:positions AS integer[]), CAST(:users AS text[]), CAST(:metrics AS text[]),
                         CAST(:levels AS text[]), CAST(:opens AS timestamptz[]), CAST(:closes AS timestamptz[]))
        AS p (position, user_id, metric_type, level, opens_at, closes_at)
), parts (position, record_count, sum_value, max_value, last_value, last_at, last_id) AS ({parts})
SELECT position, sum(record_count)::bigint, sum(sum_value), max(max_value),
       (array_agg(last_value ORDER BY last_at DESC, last_id DESC) FILTER (WHERE last_at IS NOT NULL))[1]
FROM parts GROUP BY position
"""

_COUNT_UNIQUE = """
SELECT p.position, count(DISTINCT u.unique_key) AS unique_count
FROM unnest(CAST(:positions AS integer[]), CAST(:users AS text[]), CAST(:metrics AS text[]),
            CAST(:opens AS timestamptz[]), CAST(:closes AS timestamptz[]))
     AS p (position, user_id, metric_type, opens_at, closes_at)
JOIN billing.billing_usage u
  ON u.user_id = p.user_id AND u.metric_type = p.metric_type
 AND u.created_at >= p.opens_at AND u.created_at < p.closes_at
JOIN billing.billing_usage_batches b ON b.id = u.batch_id AND b.aggregated_at IS NOT NULL
GROUP BY p.position
"""


@dataclass(frozen=True, slots=True)
class MeasuredParts:
    """All that the mergeable formulas need of one span."""

    record_count: int
    sum_value: int
    max_value: int
    last_value: int | None


def measure_pieces(session: Session, spans: Sequence[tuple[UsageSpan, Sequence[Piece]]]) -> dict[int, MeasuredParts]:
    """Measure many spans at once; positions without any record are absent."""
    rows = [(position, span, piece) for position, (span, pieces) in enumerate(spans) for piece in pieces]
    parts = " UNION ALL ".join([*(_FROM_ROLLUP.format(level=level) for level in ROLLUPS), _FROM_RAW])
    found = session.execute(
        text(_MEASURE.format(parts=parts)),
        {
            "positions": [position for position, _, _ in rows],
            "users": [span.user_id for _, span, _ in rows],
            "metrics": [span.metric_type for _, span, _ in rows],
            "levels": [piece.level.value for _, _, piece in rows],
            "opens": [piece.start for _, _, piece in rows],
            "closes": [piece.end for _, _, piece in rows],
        },
    )
    return {
        position: MeasuredParts(count, int(total), highest, newest) for position, count, total, highest, newest in found
    }


def count_unique_keys(session: Session, spans: Sequence[tuple[int, UsageSpan]]) -> dict[int, int]:
    """Count the different unique keys of many spans by their positions; unique counts cannot be merged."""
    if not spans:
        return {}
    found = session.execute(
        text(_COUNT_UNIQUE),
        {
            "positions": [position for position, _ in spans],
            "users": [span.user_id for _, span in spans],
            "metrics": [span.metric_type for _, span in spans],
            "opens": [span.period.start for _, span in spans],
            "closes": [span.period.end for _, span in spans],
        },
    )
    return {row.position: row.unique_count for row in found}


def find_frozen(session: Session, spans: Sequence[UsageSpan]) -> dict[int, tuple[int, int]]:
    """Return total and records of those spans, by position, that are closed periods frozen for good."""
    statement = text(
        "SELECT q.position, p.total::bigint, p.record_count FROM unnest(CAST(:positions AS integer[]), "
        "CAST(:users AS text[]), CAST(:metrics AS text[]), CAST(:starts AS timestamptz[]), "
        "CAST(:ends AS timestamptz[])) AS q (position, user_id, metric_type, period_start, period_end) "
        "JOIN billing.billing_usage_periods p USING (user_id, metric_type, period_start, period_end)"
    )
    parameters = {
        "positions": list(range(len(spans))),
        "users": [span.user_id for span in spans],
        "metrics": [span.metric_type for span in spans],
        "starts": [span.period.start for span in spans],
        "ends": [span.period.end for span in spans],
    }
    return {position: (total, count) for position, total, count in session.execute(statement, parameters)}


def list_metrics_of_user(session: Session, user_id: str) -> list[str]:
    """Name the metrics a user ever had usage of."""
    statement = text(
        "SELECT DISTINCT metric_type FROM billing.billing_usage_monthly WHERE user_id = :user_id ORDER BY 1"
    )
    return list(session.execute(statement, {"user_id": user_id}).scalars())


def list_rollup_uniques(session: Session, level: Level, spans: Sequence[tuple[int, UsageSpan]]) -> dict[int, int]:
    """Read the unique counts of spans that are exactly one bucket of a rollup."""
    if not spans:
        return {}
    statement = text(
        "SELECT p.position, r.unique_count FROM unnest(CAST(:positions AS integer[]), CAST(:users AS text[]), "  # noqa: S608 - level is an enum member
        "CAST(:metrics AS text[]), CAST(:starts AS timestamptz[])) AS p (position, user_id, metric_type, bucket_start) "
        f"JOIN billing.billing_usage_{level} r USING (user_id, metric_type, bucket_start) "
        "WHERE r.unique_count IS NOT NULL"
    )
    found = session.execute(
        statement,
        {
            "positions": [position for position, _ in spans],
            "users": [span.user_id for _, span in spans],
            "metrics": [span.metric_type for _, span in spans],
            "starts": [span.period.start for _, span in spans],
        },
    )
    return {row.position: row.unique_count for row in found}


def count_waiting_records(session: Session, user_id: str, period: Period) -> dict[str, int]:
    """Count a user's records of a span that are not aggregated yet, by metric."""
    statement = text(
        "SELECT u.metric_type, count(*) AS waiting FROM billing.billing_usage_batches b "
        "JOIN billing.billing_usage u ON u.batch_id = b.id "
        "WHERE b.aggregated_at IS NULL AND u.user_id = :user_id "
        "AND u.created_at >= :opens_at AND u.created_at < :closes_at GROUP BY 1"
    )
    parameters = {"user_id": user_id, "opens_at": period.start, "closes_at": period.end}
    return {row.metric_type: row.waiting for row in session.execute(statement, parameters)}
