"""SQL of aggregation: claim batches, add them to the rollups, leave marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.rules import SlotBucket
from billing_worker.domains.usage.states import ROLLUPS, Level

SLOT_OF_RECORD = "date_bin('15 minutes', u.created_at, TIMESTAMPTZ '2000-01-01 00:00:00+00')"
"""The quarter hour (`rules.SLOT`) of a row `u` of billing_usage."""

DIRTY_KIND = "usage"
"""Marks left by aggregation; subject: metric/first second touched/user."""

_LEVEL = """
INSERT INTO billing.billing_usage_{level} AS r
    (user_id, metric_type, bucket_start, record_count, sum_value, max_value, updated_at)
SELECT user_id, metric_type, bucket_start, record_count, sum_value, max_value, :now FROM {delta}
WHERE (SELECT count(*) FROM {before}) >= 0
ORDER BY user_id COLLATE "C", metric_type COLLATE "C", bucket_start
ON CONFLICT (user_id, metric_type, bucket_start) DO UPDATE SET
    record_count = r.record_count + EXCLUDED.record_count,
    sum_value = r.sum_value + EXCLUDED.sum_value,
    max_value = greatest(r.max_value, EXCLUDED.max_value),
    updated_at = EXCLUDED.updated_at
RETURNING 1
"""

_COARSER = """
SELECT f.user_id, f.metric_type, c.coarse AS bucket_start, sum(f.record_count)::bigint AS record_count,
       sum(f.sum_value) AS sum_value, max(f.max_value) AS max_value, min(f.first_used_at) AS first_used_at
FROM {finer} f JOIN unnest(CAST(:{fine_names} AS timestamptz[]), CAST(:{coarse_names} AS timestamptz[]))
     AS c (fine, coarse) ON c.fine = f.bucket_start
GROUP BY 1, 2, 3
"""

# The records are read once; each coarser rollup is added up from the finer one's deltas. A level is written when the
# one before it has been: every round locks in the same order. Without ORDER BY in an aggregate the groups are hashed.
_MERGE = """
WITH hourly AS MATERIALIZED (
    SELECT u.user_id, u.metric_type, b.bucket_start, count(*) - 2 * count(u.corrects_id) AS record_count,
           sum(u.value) AS sum_value, max(u.value) AS max_value, min(u.created_at) AS first_used_at
    FROM billing.billing_usage u
    JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:starts AS timestamptz[])) AS b (slot, bucket_start)
      ON b.slot = {slot}
    WHERE u.batch_id = ANY(:batches) AND u.created_at BETWEEN :first_at AND :last_at
    GROUP BY 1, 2, 3
), daily AS MATERIALIZED ({daily}), monthly AS MATERIALIZED ({monthly}),
hours AS ({write_hours}), days AS ({write_days}), months AS ({write_months}),
marks AS (
    INSERT INTO billing.billing_dirty_marks (kind, subject_id, marked_at)
    SELECT :kind, concat_ws('/', metric_type, floor(extract(epoch FROM min(first_used_at)))::bigint, user_id), :now
    FROM monthly WHERE (SELECT count(*) FROM months) >= 0 GROUP BY user_id, metric_type
), metered AS (
    INSERT INTO billing.billing_meter_marks (user_id, metric_type, bucket_start)
    SELECT user_id, metric_type, bucket_start FROM hourly WHERE metric_type = ANY(:metered_metrics)
)
SELECT DISTINCT metric_type FROM monthly
"""

_MERGE_LAST = """
UPDATE billing.billing_usage_{level} r SET last_value = n.value, last_at = n.created_at, last_id = n.id
FROM (
    SELECT DISTINCT ON (u.user_id, u.metric_type, b.bucket_start)
           u.user_id, u.metric_type, b.bucket_start, u.value, u.created_at, u.id
    FROM billing.billing_usage u
    JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:starts AS timestamptz[])) AS b (slot, bucket_start)
      ON b.slot = {slot}
    WHERE u.batch_id = ANY(:batches) AND u.created_at BETWEEN :first_at AND :last_at
      AND u.metric_type = ANY(:last_metrics) AND u.corrects_id IS NULL
    ORDER BY u.user_id, u.metric_type, b.bucket_start, u.created_at DESC, u.id DESC
) n
WHERE (r.user_id, r.metric_type, r.bucket_start) = (n.user_id, n.metric_type, n.bucket_start)
  AND (r.last_at IS NULL OR (n.created_at, n.id) > (r.last_at, r.last_id))
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


def prefer_hashing(session: Session) -> None:
    """Let this transaction group by hashing, in memory.

    The planner cannot know how many records a list of batches has; it takes them for few and sorts them by text, on
    disk, which costs three times as much.
    """
    session.execute(text("SELECT set_config('work_mem', '64MB', true), set_config('enable_sort', 'off', true)"))


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


def merge_rollups(
    session: Session,
    claimed: ClaimedBatches,
    buckets: Mapping[Level, Sequence[SlotBucket]],
    *,
    metered_metrics: Sequence[str],
    now: datetime,
) -> set[str]:
    """Add the claimed records to every rollup, leave marks, and name the metrics they have.

    Shape: a dirty mark per user and metric with the first second it touches; a meter mark per hour of a metered metric.
    Locks: rollup rows by level and key, so that parallel rounds wait for each other and never deadlock.
    """
    hours, days, months = (buckets[level] for level in ROLLUPS)
    found = session.execute(
        _MERGE_STATEMENT,
        {
            **claimed.parameters(),
            **slot_parameters(hours),
            **_names("hours", "days", hours, days),
            **_names("whole_days", "months", days, months),
            "metered_metrics": list(metered_metrics),
            "kind": DIRTY_KIND,
            "now": now,
        },
    )
    return set(found.scalars())


def merge_last(
    session: Session,
    level: Level,
    claimed: ClaimedBatches,
    buckets: Sequence[SlotBucket],
    *,
    last_metrics: Sequence[str],
) -> None:
    """Take over the newest record of each touched bucket where it is newer than the one known.

    Order: after `merge_rollups` has made and locked the rows.
    """
    session.execute(
        text(_MERGE_LAST.format(level=level, slot=SLOT_OF_RECORD)),
        {**claimed.parameters(), **slot_parameters(buckets), "last_metrics": list(last_metrics)},
    )


def finish_batches(session: Session, ids: Sequence[int], *, now: datetime) -> None:
    """Mark batches as aggregated."""
    statement = text("UPDATE billing.billing_usage_batches SET aggregated_at = :now WHERE id = ANY(:ids)")
    session.execute(statement, {"ids": list(ids), "now": now})


def slot_parameters(buckets: Sequence[SlotBucket]) -> dict[str, object]:
    """Tell a statement in which bucket each slot lies."""
    return {"slots": [bucket.slot for bucket in buckets], "starts": [bucket.start for bucket in buckets]}


def _names(
    fine_names: str, coarse_names: str, fine: Sequence[SlotBucket], coarse: Sequence[SlotBucket]
) -> dict[str, object]:
    """Tell in which coarser bucket each finer one lies."""
    pairs = {one.start: other.start for one, other in zip(fine, coarse, strict=True)}
    return {fine_names: list(pairs), coarse_names: list(pairs.values())}


_MERGE_STATEMENT = text(
    _MERGE.format(
        slot=SLOT_OF_RECORD,
        daily=_COARSER.format(finer="hourly", fine_names="hours", coarse_names="days"),
        monthly=_COARSER.format(finer="daily", fine_names="whole_days", coarse_names="months"),
        write_hours=_LEVEL.format(level="hourly", delta="hourly", before="hourly"),
        write_days=_LEVEL.format(level="daily", delta="daily", before="hours"),
        write_months=_LEVEL.format(level="monthly", delta="monthly", before="days"),
    )
)
