"""SQL of corrections: records that take others back, and rollups built anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.queries.intake import Numbers
from billing_worker.domains.usage.queries.rollups import DIRTY_KIND, SLOT_OF_RECORD
from billing_worker.domains.usage.rules import SlotBucket
from billing_worker.domains.usage.states import Level
from billing_worker.kernel.periods import Period

_OF_USER = "user_id = :user_id AND (CAST(:metric AS text) IS NULL OR metric_type = :metric)"

_REBUILD = """
INSERT INTO billing.billing_usage_{level}
    (user_id, metric_type, bucket_start, record_count, sum_value, max_value, last_value, last_at, last_id,
     unique_count, updated_at)
SELECT u.user_id, u.metric_type, b.bucket_start, count(*) - 2 * count(u.corrects_id), sum(u.value), max(u.value),
       (array_agg(u.value ORDER BY u.created_at DESC, u.id DESC) FILTER (WHERE {is_last}))[1],
       max(u.created_at) FILTER (WHERE {is_last}),
       (array_agg(u.id ORDER BY u.created_at DESC, u.id DESC) FILTER (WHERE {is_last}))[1],
       CASE WHEN u.metric_type = ANY(:unique_metrics) THEN count(DISTINCT u.unique_key) END, :now
FROM billing.billing_usage u
JOIN billing.billing_usage_batches t ON t.id = u.batch_id AND t.aggregated_at IS NOT NULL
JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:starts AS timestamptz[])) AS b (slot, bucket_start) ON b.slot = {slot}
WHERE u.user_id = :user_id AND (CAST(:metric AS text) IS NULL OR u.metric_type = :metric)
  AND u.created_at >= :opens_at AND u.created_at < :closes_at
GROUP BY 1, 2, 3
"""

_REBUILD_KEYS = """
INSERT INTO billing.billing_usage_uniques (user_id, metric_type, level, bucket_start, unique_key)
SELECT DISTINCT u.user_id, u.metric_type, '{level}', b.bucket_start, u.unique_key
FROM billing.billing_usage u
JOIN billing.billing_usage_batches t ON t.id = u.batch_id AND t.aggregated_at IS NOT NULL
JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:starts AS timestamptz[])) AS b (slot, bucket_start) ON b.slot = {slot}
WHERE u.user_id = :user_id AND (CAST(:metric AS text) IS NULL OR u.metric_type = :metric)
  AND u.metric_type = ANY(:unique_metrics) AND u.unique_key IS NOT NULL
  AND u.created_at >= :opens_at AND u.created_at < :closes_at
"""

_IS_LAST = "u.metric_type = ANY(:last_metrics) AND u.corrects_id IS NULL"


def insert_reversals(session: Session, numbers: Numbers, record_ids: Sequence[int], *, now: datetime) -> None:
    """Write a record against each of these, with the same instant and the negative value."""
    statement = text(
        "INSERT INTO billing.billing_usage (id, batch_id, user_id, metric_type, value, unique_key, created_at, "
        "recorded_at, corrects_id) "
        "SELECT n.id, :batch_id, u.user_id, u.metric_type, -u.value, u.unique_key, u.created_at, :now, u.id "
        "FROM unnest(CAST(:ids AS bigint[]), CAST(:record_ids AS bigint[])) AS n (id, record_id) "
        "JOIN billing.billing_usage u ON u.id = n.record_id"
    )
    ids = [int(number) for number in numbers.record_ids]
    parameters = {"batch_id": numbers.batch_id, "ids": ids, "record_ids": list(record_ids), "now": now}
    session.execute(statement, parameters)


def delete_rollups(session: Session, level: Level, *, user_id: str, metric: str | None, period: Period) -> int:
    """Forget a user's buckets that start in a span, with their keys; return how many there were."""
    parameters = {"user_id": user_id, "metric": metric, "opens_at": period.start, "closes_at": period.end}
    starts = "bucket_start >= :opens_at AND bucket_start < :closes_at"
    keys = text(
        f"DELETE FROM billing.billing_usage_uniques WHERE {_OF_USER} AND level = :level AND {starts}"  # noqa: S608 - constants
    )
    session.execute(keys, {**parameters, "level": level.value})
    rows = text(f"DELETE FROM billing.billing_usage_{level} WHERE {_OF_USER} AND {starts}")  # noqa: S608 - constants
    return session.connection().execute(rows, parameters).rowcount


def rebuild_rollups(
    session: Session,
    level: Level,
    buckets: Sequence[SlotBucket],
    *,
    user_id: str,
    metric: str | None,
    period: Period,
    last_metrics: Sequence[str],
    unique_metrics: Sequence[str],
    now: datetime,
) -> int:
    """Compute a user's buckets of a span from the aggregated records and return how many there are."""
    parameters = {
        "user_id": user_id,
        "metric": metric,
        "opens_at": period.start,
        "closes_at": period.end,
        "slots": [bucket.slot for bucket in buckets],
        "starts": [bucket.start for bucket in buckets],
        "unique_metrics": list(unique_metrics),
    }
    session.execute(text(_REBUILD_KEYS.format(level=level, slot=SLOT_OF_RECORD)), parameters)
    rebuild = text(_REBUILD.format(level=level, slot=SLOT_OF_RECORD, is_last=_IS_LAST))
    parameters |= {"last_metrics": list(last_metrics), "now": now}
    return session.connection().execute(rebuild, parameters).rowcount


def mark_user(session: Session, *, user_id: str, period: Period, metered_metrics: Sequence[str], now: datetime) -> None:
    """Tell quotas and meters to look at a user's hours of a span again."""
    parameters = {"user_id": user_id, "opens_at": period.start, "closes_at": period.end}
    own = "user_id = :user_id AND bucket_start >= :opens_at AND bucket_start < :closes_at"
    dirty = text(
        "INSERT INTO billing.billing_dirty_marks (kind, subject_id, marked_at) "  # noqa: S608 - constants
        "SELECT :kind, concat_ws('/', metric_type, floor(extract(epoch FROM min(bucket_start)))::bigint, user_id), "
        f":now FROM billing.billing_usage_hourly WHERE {own} GROUP BY user_id, metric_type"
    )
    session.execute(dirty, {**parameters, "kind": DIRTY_KIND, "now": now})
    metered = text(
        "INSERT INTO billing.billing_meter_marks (user_id, metric_type, bucket_start) "  # noqa: S608 - constants
        "SELECT user_id, metric_type, bucket_start FROM billing.billing_usage_hourly "
        f"WHERE {own} AND metric_type = ANY(:metrics)"
    )
    session.execute(metered, {**parameters, "metrics": list(metered_metrics)})
