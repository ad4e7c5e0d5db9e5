"""SQL of looking at raw records one by one: audits, duplicates, explanations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.kernel.periods import Period

_OF_USER = (
    "u.user_id = :user_id AND (CAST(:metric AS text) IS NULL OR u.metric_type = :metric) "
    "AND u.created_at >= :opens_at AND u.created_at < :closes_at"
)

# A sender that leaves the time out gives all records of one call the same instant, which proves nothing: only a named
# time can be repeated. A call that is sent again is another batch: of several batches the fullest one is true.
_REPEATED = f"""
WITH own AS (
    SELECT u.id, u.batch_id, u.metric_type, u.value, u.created_at, u.unique_key
    FROM billing.billing_usage u
    WHERE {_OF_USER} AND u.idempotency_key IS NULL AND u.corrects_id IS NULL AND u.created_at <> u.recorded_at
      AND NOT EXISTS (
          SELECT 1 FROM billing.billing_usage c
          WHERE c.user_id = u.user_id AND c.metric_type = u.metric_type AND c.created_at = u.created_at
            AND c.corrects_id = u.id)
      AND NOT EXISTS (
          SELECT 1 FROM billing.billing_usage_adjustments a
          WHERE a.user_id = u.user_id AND a.metric_type = u.metric_type AND a.usage_at = u.created_at
            AND a.reason = 'takes back record ' || u.id)
), batches AS (
    SELECT metric_type, created_at, value, unique_key, batch_id, count(*) AS records, min(id) AS first_id
    FROM own GROUP BY 1, 2, 3, 4, 5
), kept AS (
    SELECT DISTINCT ON (metric_type, created_at, value, unique_key)
           metric_type, created_at, value, unique_key, batch_id, records
    FROM batches ORDER BY metric_type, created_at, value, unique_key, records DESC, first_id
)
SELECT o.metric_type, o.created_at, o.value, o.unique_key, k.batch_id, count(*),
       array_agg(o.id ORDER BY o.id) FILTER (WHERE o.batch_id <> k.batch_id)
FROM own o JOIN kept k ON (o.metric_type, o.created_at, o.value) = (k.metric_type, k.created_at, k.value)
 AND o.unique_key IS NOT DISTINCT FROM k.unique_key
GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1 ORDER BY 1, 2, 3, 4
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as it is stored; `aggregated` says whether the rollups have it."""

    id: int
    metric_type: str
    value: int
    used_at: datetime
    unique_key: str | None
    idempotency_key: str | None
    recorded_at: datetime
    batch_id: int
    source: str | None
    corrects_id: int | None
    aggregated: bool


@dataclass(frozen=True, slots=True)
class RepeatedRecord:
    """Records without keys that say the same of the same instant.

    Shape: `surplus` are the ids of those that other batches repeat; the rest came in one call, which may be meant so.
    """

    metric_type: str
    used_at: datetime
    value: int
    unique_key: str | None
    kept_batch: int
    records: int
    surplus: Sequence[int]


def list_records(
    session: Session, user_id: str, metric: str | None, period: Period, *, limit: int, after: int = 0
) -> list[RawRecord]:
    """Return a user's records of a span in order of their ids."""
    statement = text(
        "SELECT u.id, u.metric_type, u.value, u.created_at, u.unique_key, u.idempotency_key, u.recorded_at, "  # noqa: S608 - constants
        "u.batch_id, b.source, u.corrects_id, b.aggregated_at IS NOT NULL "
        "FROM billing.billing_usage u LEFT JOIN billing.billing_usage_batches b ON b.id = u.batch_id "
        f"WHERE {_OF_USER} AND u.id > :after ORDER BY u.id LIMIT :limit"
    )
    rows = session.execute(statement, {**_parameters(user_id, metric, period), "limit": limit, "after": after})
    return [RawRecord(*row) for row in rows]


def iterate_records(session: Session, user_id: str, metric: str, period: Period) -> Iterator[RawRecord]:
    """Give every record of a span, however many, in order of their ids."""
    after = 0
    while page := list_records(session, user_id, metric, period, limit=5_000, after=after):
        yield from page
        after = page[-1].id


def list_repeated(session: Session, user_id: str, metric: str | None, period: Period) -> list[RepeatedRecord]:
    """Return what may have been counted more than once."""
    rows = session.execute(text(_REPEATED), _parameters(user_id, metric, period))
    return [
        RepeatedRecord(name, used_at, value, key, batch, count, tuple(surplus or ()))
        for name, used_at, value, key, batch, count, surplus in rows
    ]


def _parameters(user_id: str, metric: str | None, period: Period) -> dict[str, object]:
    return {"user_id": user_id, "metric": metric, "opens_at": period.start, "closes_at": period.end}
