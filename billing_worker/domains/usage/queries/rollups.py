"""SQL of aggregation: claim batches, add them to the rollups, leave marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.rules import SlotBucket
from billing_worker.domains.usage.states import Level

SLOT_OF_RECORD = "date_bin('15 minutes', u.created_at, TIMESTAMPTZ '2000-01-01 00:00:00+00')"
"""The quarter hour (`rules.SLOT`) of a row `u` of billing_usage."""

DIRTY_KIND = "usage"
"""Marks left by aggregation; subject: metric/first second touched/user."""

_MERGE = """
INSERT INTO billing.billing_usage_{level} AS r
    (user_id, metric_type, bucket_start, record_count, sum_value, max_value, last_value, last_at, last_id, updated_at)
SELECT u.user_id, u.metric_type, b.bucket_start, count(*), sum(u.value), max(u.value),
       (array_agg(u.value ORDER BY u.created_at DESC, u.id DESC) FILTER (WHERE u.metric_type = ANY(:last_metrics)))[1],
       max(u.created_at) FILTER (WHERE u.metric_type = ANY(:last_metrics)),
       (array_agg(u.id ORDER BY u.created_at DESC, u.id DESC) FILTER (WHERE u.metric_type = ANY(:last_metrics)))[1],
       :now
FROM billing.billing_usage u
JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:starts AS timestamptz[])) AS b (slot, bucket_start)
  ON b.slot = {slot}
WHERE u.batch_id = ANY(:batches) AND u.created_at BETWEEN :first_at AND :last_at
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
ON CONFLICT (user_id, metric_type, bucket_start) DO UPDATE SET
    record_count = r.record_count + EXCLUDED.record_count,
    sum_value = r.sum_value + EXCLUDED.sum_value,
    max_value = greatest(r.max_value, EXCLUDED.max_value),
    last_value = CASE WHEN {newer} THEN EXCLUDED.last_value ELSE r.last_value END,
    last_at = CASE WHEN {newer} THEN EXCLUDED.last_at ELSE r.last_at END,
    last_id = CASE WHEN {newer} THEN EXCLUDED.last_id ELSE r.last_id END,
    updated_at = EXCLUDED.updated_at
"""

_NEWER = "r.last_at IS NULL OR (EXCLUDED.last_at, EXCLUDED.last_id) > (r.last_at, r.last_id)"

_RECOUNT_UNIQUE = """
WITH touched AS (
    SELECT DISTINCT u.user_id, u.metric_type, b.bucket_start, b.opens_at, b.closes_at
    FROM billing.billing_usage u
    JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:starts AS timestamptz[]),
                CAST(:opens AS timestamptz[]), CAST(:closes AS timestamptz[]))
         AS b (slot, bucket_start, opens_at, closes_at)
      ON b.slot = {slot}
    WHERE u.batch_id = ANY(:batches) AND u.created_at BETWEEN :first_at AND :last_at
      AND u.metric_type = ANY(:unique_metrics)
)
UPDATE billing.billing_usage_{level} r SET unique_count = (
    SELECT count(DISTINCT raw.unique_key) FROM billing.billing_usage raw
    WHERE raw.user_id = t.user_id AND raw.metric_type = t.metric_type
      AND raw.created_at >= t.opens_at AND raw.created_at < t.closes_at)
FROM touched t
WHERE (r.user_id, r.metric_type, r.bucket_start) = (t.user_id, t.metric_type, t.bucket_start)
"""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch whose records are not in the rollups yet."""

    id: int
    record_count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimedBatches:
    """The batches of one aggregation round: the rows to read and the slots they lie in."""

    ids: list[int]
    first_at: datetime
    last_at: datetime

    def parameters(self) -> dict[str, object]:
        """Return what the statements call these rows."""
        return {"batches": self.ids, "first_at": self.first_at, "last_at": self.last_at}


def claim_open_batches(session: Session, *, batch_limit: int) -> list[OpenBatch]:
    """Lock the oldest batches that nobody else is aggregating."""
    statement = text(
        "SELECT id, record_count, first_at, last_at FROM billing.billing_usage_batches "
        "WHERE aggregated_at IS NULL ORDER BY id LIMIT :batch_limit FOR UPDATE SKIP LOCKED"
    )
    return [OpenBatch(*row) for row in session.execute(statement, {"batch_limit": batch_limit})]


def list_slots(session: Session, claimed: ClaimedBatches) -> list[datetime]:
    """Return the quarter hours in which the claimed batches have records."""
    statement = text(
        f"SELECT DISTINCT {SLOT_OF_RECORD} FROM billing.billing_usage u "  # noqa: S608 - a constant of this module
        "WHERE u.batch_id = ANY(:batches) AND u.created_at BETWEEN :first_at AND :last_at ORDER BY 1"
    )
    return list(session.execute(statement, claimed.parameters()).scalars())


def merge_rollup(
    session: Session,
    level: Level,
    claimed: ClaimedBatches,
    buckets: Sequence[SlotBucket],
    *,
    last_metrics: Sequence[str],
    now: datetime,
) -> None:
    """Add the claimed records to one rollup.

    Locks: rollup rows in key order, so that parallel rounds wait for each other and never deadlock.
    """
    session.execute(
        text(_MERGE.format(level=level, slot=SLOT_OF_RECORD, newer=_NEWER)),
        {
            **claimed.parameters(),
            "slots": [bucket.slot for bucket in buckets],
            "starts": [bucket.start for bucket in buckets],
            "last_metrics": list(last_metrics),
            "now": now,
        },
    )


def recount_unique(
    session: Session,
    level: Level,
    claimed: ClaimedBatches,
    buckets: Sequence[SlotBucket],
    *,
    unique_metrics: Sequence[str],
) -> None:
    """Count the different keys of the touched buckets anew.

    Order: after `merge_rollup` has locked the rows: this statement's later snapshot then holds every record whose
    round was here before, so the last round to come counts them all.
    """
    session.execute(
        text(_RECOUNT_UNIQUE.format(level=level, slot=SLOT_OF_RECORD)),
        {
            **claimed.parameters(),
            "slots": [bucket.slot for bucket in buckets],
            "starts": [bucket.start for bucket in buckets],
            "opens": [bucket.span.start for bucket in buckets],
            "closes": [bucket.span.end for bucket in buckets],
            "unique_metrics": list(unique_metrics),
        },
    )


def insert_dirty_marks(session: Session, claimed: ClaimedBatches, *, now: datetime) -> None:
    """Leave a mark per user and metric that has new usage, with the first second it touches."""
    statement = text(
        "INSERT INTO billing.billing_dirty_marks (kind, subject_id, marked_at) "
        "SELECT :kind, concat_ws('/', metric_type, floor(extract(epoch FROM min(created_at)))::bigint, user_id), :now "
        "FROM billing.billing_usage "
        "WHERE batch_id = ANY(:batches) AND created_at BETWEEN :first_at AND :last_at GROUP BY user_id, metric_type"
    )
    session.execute(statement, {**claimed.parameters(), "kind": DIRTY_KIND, "now": now})


def finish_batches(session: Session, ids: Sequence[int], *, now: datetime) -> None:
    """Mark batches as aggregated."""
    statement = text("UPDATE billing.billing_usage_batches SET aggregated_at = :now WHERE id = ANY(:ids)")
    session.execute(statement, {"ids": list(ids), "now": now})
