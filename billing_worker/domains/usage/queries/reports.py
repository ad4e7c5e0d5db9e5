"""SQL of operators' questions: how far behind, who sends, do rollups equal the raw records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.queries.rollups import SLOT_OF_RECORD
from billing_worker.domains.usage.rules import SlotBucket
from billing_worker.domains.usage.states import Level
from billing_worker.kernel.periods import Period

# Records of open batches are counted apart: the rollups do not have them yet, which is lag and no difference. Unique
# counts are compared only in buckets without open records, because a recount may already have seen those.
_COMPARE = """
WITH raw AS (
    SELECT u.user_id, u.metric_type, b.bucket_start,
           count(*) FILTER (WHERE t.aggregated_at IS NOT NULL)
               - 2 * count(u.corrects_id) FILTER (WHERE t.aggregated_at IS NOT NULL) AS record_count,
           coalesce(sum(u.value) FILTER (WHERE t.aggregated_at IS NOT NULL), 0) AS sum_value,
           max(u.value) FILTER (WHERE t.aggregated_at IS NOT NULL) AS max_value,
           (array_agg(u.value ORDER BY u.created_at DESC, u.id DESC)
               FILTER (WHERE t.aggregated_at IS NOT NULL AND u.metric_type = ANY(:last_metrics)
                   AND u.corrects_id IS NULL))[1] AS last_value,
           count(DISTINCT u.unique_key) FILTER (WHERE u.metric_type = ANY(:unique_metrics)) AS unique_count,
           count(*) FILTER (WHERE t.aggregated_at IS NULL) AS open_count
    FROM billing.billing_usage u
    JOIN billing.billing_usage_batches t ON t.id = u.batch_id
    JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:starts AS timestamptz[])) AS b (slot, bucket_start)
      ON b.slot = {slot}
    WHERE {raw_filter}
    GROUP BY 1, 2, 3
), compared AS (
    SELECT user_id, metric_type, bucket_start,
           coalesce(raw.record_count, 0) AS raw_count, coalesce(r.record_count, 0) AS rollup_count,
           coalesce(raw.sum_value, 0) AS raw_sum, coalesce(r.sum_value, 0) AS rollup_sum,
           coalesce(raw.open_count, 0) AS open_count,
           (raw.max_value, raw.last_value) IS DISTINCT FROM (r.max_value, r.last_value)
           OR coalesce(raw.open_count, 0) = 0 AND coalesce(raw.unique_count, 0) <> coalesce(r.unique_count, 0)
               AS differs_otherwise
    FROM raw FULL JOIN (SELECT * FROM billing.billing_usage_{level} r WHERE {rollup_filter}) AS r
         USING (user_id, metric_type, bucket_start)
)
"""
# Of months that were archived there is nothing to compare with.
_DIFFERS = """(raw_count <> rollup_count OR raw_sum <> rollup_sum OR differs_otherwise) AND bucket_start >= coalesce(
    (SELECT max(month_end) FROM billing.billing_usage_archives WHERE dropped_at IS NOT NULL), '-infinity')"""


@dataclass(frozen=True, slots=True)
class BucketComparison:
    """One bucket as the raw records and as the rollup have it; `open_count` records are still to be aggregated."""

    metric_type: str
    bucket_start: datetime
    raw_count: int
    rollup_count: int
    raw_sum: int
    rollup_sum: int
    open_count: int
    differs: bool


@dataclass(frozen=True, slots=True)
class AggregationLag:
    """How far the rollups are behind."""

    open_batches: int
    open_records: int
    oldest_accepted_at: datetime | None
    last_aggregated_at: datetime | None

    def age(self, now: datetime) -> timedelta:
        """Return for how long the oldest open batch has waited."""
        return now - self.oldest_accepted_at if self.oldest_accepted_at else timedelta()

    def state(self, now: datetime, interval: timedelta) -> str:
        """Say whether aggregation keeps up with its interval."""
        if self.open_batches == 0:
            return "up to date"
        return "late" if self.age(now) > interval else "waiting"


def get_aggregation_lag(session: Session) -> AggregationLag:
    """Count what is not aggregated yet."""
    statement = text(
        "SELECT count(*), coalesce(sum(record_count), 0)::bigint, min(accepted_at), "
        "(SELECT max(aggregated_at) FROM billing.billing_usage_batches WHERE id > "
        "    (SELECT coalesce(max(id), 0) - 10000 FROM billing.billing_usage_batches)) "
        "FROM billing.billing_usage_batches WHERE aggregated_at IS NULL"
    )
    return AggregationLag(*session.execute(statement).one())


def count_open_batches(session: Session, *, limit: int) -> int:
    """Count batches that wait for aggregation, up to a limit."""
    statement = text(
        "SELECT count(*) FROM "
        "(SELECT 1 FROM billing.billing_usage_batches WHERE aggregated_at IS NULL LIMIT :limit) AS waiting"
    )
    return int(session.execute(statement, {"limit": limit}).scalar_one())


@dataclass(frozen=True, slots=True)
class SourceActivity:
    """What one collector has sent lately."""

    source: str
    last_accepted_at: datetime
    records_last_hour: int
    records_last_day: int


def list_source_activity(session: Session, now: datetime) -> list[SourceActivity]:
    """Return each source of the last 30 days with its last batch and recent volume."""
    statement = text(
        "SELECT source, max(accepted_at), "
        "coalesce(sum(record_count) FILTER (WHERE accepted_at > :now - interval '1 hour'), 0)::bigint, "
        "coalesce(sum(record_count) FILTER (WHERE accepted_at > :now - interval '1 day'), 0)::bigint "
        "FROM billing.billing_usage_batches WHERE accepted_at > :now - interval '30 days' GROUP BY 1 ORDER BY 1"
    )
    return [SourceActivity(*row) for row in session.execute(statement, {"now": now})]


def list_adjustments(session: Session, user_id: str, metric: str, period: Period) -> list[tuple[datetime, int, str]]:
    """Return time of use, value and reason of what came too late for its closed period."""
    statement = text(
        "SELECT usage_at, value::bigint, reason FROM billing.billing_usage_adjustments "
        "WHERE user_id = :user_id AND metric_type = :metric AND usage_at >= :opens_at AND usage_at < :closes_at "
        "ORDER BY id"
    )
    parameters = {"user_id": user_id, "metric": metric, "opens_at": period.start, "closes_at": period.end}
    return [(used_at, value, reason) for used_at, value, reason in session.execute(statement, parameters)]


def list_used_slots(session: Session, *, user_id: str | None = None, span: Period | None = None) -> list[datetime]:
    """Return the quarter hours that have records: of everybody, or of one user in one span."""
    raw_filter, _, parameters = _filters(user_id, span)
    statement = text(
        f"SELECT DISTINCT {SLOT_OF_RECORD} FROM billing.billing_usage u WHERE {raw_filter} ORDER BY 1"  # noqa: S608 - constants of this slice
    )
    return list(session.execute(statement, parameters).scalars())


def count_differing_buckets(
    session: Session,
    level: Level,
    buckets: Sequence[SlotBucket],
    *,
    last_metrics: Sequence[str],
    unique_metrics: Sequence[str],
) -> int:
    """Count the buckets of one rollup that brute force over the raw records does not confirm."""
    statement = _COMPARE.format(level=level, slot=SLOT_OF_RECORD, raw_filter="true", rollup_filter="true")
    rows = session.execute(
        text(f"{statement} SELECT count(*) FROM compared WHERE {_DIFFERS}"),  # noqa: S608 - constants of this slice
        _compare_parameters(buckets, last_metrics, unique_metrics),
    )
    return int(rows.scalar_one())


def list_bucket_comparisons(
    session: Session,
    level: Level,
    buckets: Sequence[SlotBucket],
    *,
    user_id: str,
    span: Period,
    last_metrics: Sequence[str],
    unique_metrics: Sequence[str],
) -> list[BucketComparison]:
    """Return a user's buckets in a span, raw beside rollup, in order of metric and time."""
    raw_filter, rollup_filter, parameters = _filters(user_id, span)
    statement = _COMPARE.format(level=level, slot=SLOT_OF_RECORD, raw_filter=raw_filter, rollup_filter=rollup_filter)
    rows = session.execute(
        text(
            f"{statement} SELECT metric_type, bucket_start, raw_count, rollup_count, raw_sum::bigint, "  # noqa: S608 - constants of this slice
            f"rollup_sum::bigint, open_count, {_DIFFERS} FROM compared ORDER BY 1, 2"
        ),
        {**_compare_parameters(buckets, last_metrics, unique_metrics), **parameters},
    )
    return [BucketComparison(*row) for row in rows]


def _compare_parameters(
    buckets: Sequence[SlotBucket], last_metrics: Sequence[str], unique_metrics: Sequence[str]
) -> dict[str, object]:
    return {
        "slots": [bucket.slot for bucket in buckets],
        "starts": [bucket.start for bucket in buckets],
        "last_metrics": list(last_metrics),
        "unique_metrics": list(unique_metrics),
    }


def _filters(user_id: str | None, span: Period | None) -> tuple[str, str, dict[str, object]]:
    if user_id is None or span is None:
        return "true", "true", {}
    return (
        "u.user_id = :user_id AND u.created_at >= :opens_at AND u.created_at < :closes_at",
        "r.user_id = :user_id AND r.bucket_start >= :opens_at AND r.bucket_start < :closes_at",
        {"user_id": user_id, "opens_at": span.start, "closes_at": span.end},
    )
