"""SQL of unique counts: the different keys of each bucket are rows, so that new records cost no reading of old ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.queries.rollups import SLOT_OF_RECORD, ClaimedBatches, slot_parameters
from billing_worker.domains.usage.rules import SlotBucket, bucket_span, whole_buckets
from billing_worker.domains.usage.states import ROLLUPS, Level
from billing_worker.kernel.periods import Period

# Buckets counted before their keys were kept: the rollup knows a number, and there is no key.
_SEED = """
WITH touched AS MATERIALIZED (
    SELECT DISTINCT u.user_id, u.metric_type, b.bucket_start, b.opens_at, b.closes_at
    FROM billing.billing_usage u
    JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:starts AS timestamptz[]),
                CAST(:opens AS timestamptz[]), CAST(:closes AS timestamptz[]))
         AS b (slot, bucket_start, opens_at, closes_at)
      ON b.slot = {slot}
    WHERE u.batch_id = ANY(:batches) AND u.created_at BETWEEN :first_at AND :last_at
      AND u.metric_type = ANY(:unique_metrics)
)
INSERT INTO billing.billing_usage_uniques (user_id, metric_type, level, bucket_start, unique_key)
SELECT DISTINCT t.user_id, t.metric_type, '{level}', t.bucket_start, raw.unique_key
FROM touched t
JOIN billing.billing_usage_{level} r USING (user_id, metric_type, bucket_start)
JOIN billing.billing_usage raw ON raw.user_id = t.user_id AND raw.metric_type = t.metric_type
 AND raw.created_at >= t.opens_at AND raw.created_at < t.closes_at AND raw.unique_key IS NOT NULL
JOIN billing.billing_usage_batches a ON a.id = raw.batch_id AND a.aggregated_at IS NOT NULL
WHERE r.unique_count IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM billing.billing_usage_uniques k
    WHERE (k.user_id, k.metric_type, k.level, k.bucket_start) = (t.user_id, t.metric_type, '{level}', t.bucket_start))
ON CONFLICT DO NOTHING
RETURNING user_id, metric_type, bucket_start
"""

_RECOUNT = """
UPDATE billing.billing_usage_{level} r SET unique_count = (
    SELECT count(*) FROM billing.billing_usage_uniques k
    WHERE (k.user_id, k.metric_type, k.level, k.bucket_start) = (r.user_id, r.metric_type, '{level}', r.bucket_start))
FROM unnest(CAST(:users AS text[]), CAST(:metrics AS text[]), CAST(:starts AS timestamptz[]))
     AS t (user_id, metric_type, bucket_start)
WHERE (r.user_id, r.metric_type, r.bucket_start) = (t.user_id, t.metric_type, t.bucket_start)
"""

_ADD = """
WITH added AS (
    INSERT INTO billing.billing_usage_uniques (user_id, metric_type, level, bucket_start, unique_key)
    SELECT DISTINCT u.user_id, u.metric_type, '{level}', b.bucket_start, u.unique_key
    FROM billing.billing_usage u
    JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:starts AS timestamptz[])) AS b (slot, bucket_start)
      ON b.slot = {slot}
    WHERE u.batch_id = ANY(:batches) AND u.created_at BETWEEN :first_at AND :last_at
      AND u.metric_type = ANY(:unique_metrics) AND u.unique_key IS NOT NULL
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT DO NOTHING
    RETURNING user_id, metric_type, bucket_start
), counted AS (SELECT user_id, metric_type, bucket_start, count(*) AS keys FROM added GROUP BY 1, 2, 3)
UPDATE billing.billing_usage_{level} r SET unique_count = coalesce(r.unique_count, 0) + c.keys
FROM counted c
WHERE (r.user_id, r.metric_type, r.bucket_start) = (c.user_id, c.metric_type, c.bucket_start)
"""


def add_unique_keys(
    session: Session,
    claimed: ClaimedBatches,
    buckets: Mapping[Level, Sequence[SlotBucket]],
    *,
    unique_metrics: Sequence[str],
) -> None:
    """Add the keys of the claimed records to their buckets, and count those that are new there.

    Order: after `merge_rollups` has locked the buckets' rows: nobody else adds keys to them until the commit.
    """
    for level in ROLLUPS:
        _seed(session, level, claimed, buckets[level], unique_metrics)
        parameters = {**slot_parameters(buckets[level]), "unique_metrics": list(unique_metrics)}
        session.execute(text(_ADD.format(level=level, slot=SLOT_OF_RECORD)), {**claimed.parameters(), **parameters})


def keep_all_keys(session: Session, period: Period, zone: ZoneInfo, *, unique_metrics: Sequence[str]) -> None:
    """Keep the keys of every bucket that touches a span, before its records leave."""
    for level in ROLLUPS:
        span = whole_buckets(level, period, zone)
        starts = text(
            f"SELECT DISTINCT bucket_start FROM billing.billing_usage_{level} "  # noqa: S608 - an enum member
            "WHERE bucket_start >= :opens_at AND bucket_start < :closes_at AND metric_type = ANY(:metrics)"
        )
        parameters = {"opens_at": span.start, "closes_at": span.end, "metrics": list(unique_metrics)}
        for start in session.execute(starts, parameters).scalars().all():
            keep = text(
                "INSERT INTO billing.billing_usage_uniques (user_id, metric_type, level, bucket_start, unique_key) "
                "SELECT DISTINCT user_id, metric_type, :level, CAST(:start AS timestamptz), unique_key "
                "FROM billing.billing_usage WHERE metric_type = ANY(:metrics) AND unique_key IS NOT NULL "
                "AND created_at >= :opens_at AND created_at < :closes_at ON CONFLICT DO NOTHING"
            )
            inside = bucket_span(level, start, zone)
            bounds = {"opens_at": inside.start, "closes_at": inside.end, "level": level.value, "start": start}
            session.execute(keep, {**bounds, "metrics": list(unique_metrics)})


def _seed(
    session: Session,
    level: Level,
    claimed: ClaimedBatches,
    buckets: Sequence[SlotBucket],
    unique_metrics: Sequence[str],
) -> None:
    found = session.execute(
        text(_SEED.format(level=level, slot=SLOT_OF_RECORD)),
        {
            **claimed.parameters(),
            **slot_parameters(buckets),
            "opens": [bucket.span.start for bucket in buckets],
            "closes": [bucket.span.end for bucket in buckets],
            "unique_metrics": list(unique_metrics),
        },
    )
    seeded = sorted({(user, metric, start) for user, metric, start in found})
    if seeded:
        users, metrics, starts = zip(*seeded, strict=True)
        parameters = {"users": list(users), "metrics": list(metrics), "starts": list(starts)}
        session.execute(text(_RECOUNT.format(level=level)), parameters)
