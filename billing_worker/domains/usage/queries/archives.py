"""SQL of archives: which months of raw records lie elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from billing_worker.database.copy import copy_rows
from billing_worker.kernel.periods import Period

_COLUMNS = "id, month_start, month_end, location, content_sha256, record_count, value_sum, archived_at, dropped_at"


@dataclass(frozen=True, slots=True)
class Archive:
    """One month of raw records in one place; `dropped_at` is when they left the database."""

    id: int
    month_start: datetime
    month_end: datetime
    location: str
    content_sha256: str
    record_count: int
    value_sum: int
    archived_at: datetime
    dropped_at: datetime | None


def find_archived(session: Session, period: Period) -> Archive | None:
    """Return a month of a span whose records are not in the database any more."""
    statement = text(
        f"SELECT {_COLUMNS} FROM billing.billing_usage_archives "  # noqa: S608 - constant
        "WHERE dropped_at IS NOT NULL AND month_start < :closes_at AND month_end > :opens_at "
        "ORDER BY month_start LIMIT 1"
    )
    row = session.execute(statement, {"opens_at": period.start, "closes_at": period.end}).one_or_none()
    return None if row is None else Archive(*row)


def list_archives_of(session: Session, instant: datetime) -> list[Archive]:
    """Return the archives of the month that holds an instant: late records of an archived month make one more."""
    statement = text(
        f"SELECT {_COLUMNS} FROM billing.billing_usage_archives "  # noqa: S608 - constant
        "WHERE month_start <= :instant AND month_end > :instant ORDER BY id"
    )
    return [Archive(*row) for row in session.execute(statement, {"instant": instant})]


def insert_archive(session: Session, archive: Archive) -> int:
    """Remember where a month went; the same month to the same place once more replaces what was known."""
    statement = text(
        "INSERT INTO billing.billing_usage_archives AS a "
        "(month_start, month_end, location, content_sha256, record_count, value_sum, archived_at) "
        "VALUES (:month_start, :month_end, :location, :content_sha256, :record_count, :value_sum, :archived_at) "
        "ON CONFLICT (month_start, location) DO UPDATE SET content_sha256 = EXCLUDED.content_sha256, "
        "record_count = EXCLUDED.record_count, value_sum = EXCLUDED.value_sum, archived_at = EXCLUDED.archived_at, "
        "dropped_at = NULL RETURNING id"
    )
    parameters = {
        "month_start": archive.month_start,
        "month_end": archive.month_end,
        "location": archive.location,
        "content_sha256": archive.content_sha256,
        "record_count": archive.record_count,
        "value_sum": archive.value_sum,
        "archived_at": archive.archived_at,
    }
    return cast("int", session.execute(statement, parameters).scalar_one())


def list_months(session: Session, before: datetime) -> list[datetime]:
    """Return the months, in UTC, that have records and end by a time."""
    statement = text(
        "SELECT DISTINCT date_trunc('month', created_at, 'UTC') AS month FROM billing.billing_usage "
        "WHERE created_at < date_trunc('month', CAST(:before AS timestamptz), 'UTC') ORDER BY 1"
    )
    return list(session.execute(statement, {"before": before}).scalars())


def list_pages(session: Session, month: Period, columns: Sequence[str], *, size: int) -> Iterator[list[Row[Any]]]:
    """Give every record of a month, in order of ids."""
    statement = text(
        f"SELECT {', '.join(columns)} FROM billing.billing_usage "  # noqa: S608 - constants of this slice
        "WHERE created_at >= :opens_at AND created_at < :closes_at AND id > :after ORDER BY id LIMIT :size"
    )
    after = 0
    while True:
        parameters = {"opens_at": month.start, "closes_at": month.end, "after": after, "size": size}
        page = list(session.execute(statement, parameters))
        if not page:
            return
        yield page
        after = page[-1][0]


def measure_month(session: Session, month: Period) -> tuple[int, int, int]:
    """Return how many records a month has, their sum, and how many of them no rollup has yet."""
    statement = text(
        "SELECT count(*), coalesce(sum(u.value), 0)::bigint, count(*) FILTER (WHERE b.aggregated_at IS NULL) "
        "FROM billing.billing_usage u LEFT JOIN billing.billing_usage_batches b ON b.id = u.batch_id "
        "WHERE u.created_at >= :opens_at AND u.created_at < :closes_at"
    )
    count, total, waiting = session.execute(statement, {"opens_at": month.start, "closes_at": month.end}).one()
    return count, total, waiting


def drop_month(session: Session, month: Period) -> None:
    """Take a month's records out of the database; the partition is dropped as a whole.

    Locks: the table for a moment; it gives up after five seconds behind a long query.
    """
    session.execute(text("SELECT set_config('lock_timeout', '5s', true)"))
    session.execute(text(f"DROP TABLE IF EXISTS billing.billing_usage_{month.start:%Y_%m}"))
    rest = text("DELETE FROM billing.billing_usage WHERE created_at >= :opens_at AND created_at < :closes_at")
    session.execute(rest, {"opens_at": month.start, "closes_at": month.end})


def insert_restored(session: Session, rows: Sequence[Sequence[object]], columns: Sequence[str]) -> None:
    """Bring records back under their own ids and batches: the rollups have them already."""
    copy_rows(session, "billing_usage", columns, rows)


def freeze_period(
    session: Session, user_id: str, metric: str, period: Period, *, total: int, records: int, digest: str, now: datetime
) -> None:
    """Keep the number of a closed period for good."""
    statement = text(
        "INSERT INTO billing.billing_usage_periods (user_id, metric_type, period_start, period_end, total, "
        "record_count, records_sha256, frozen_at) VALUES (:user_id, :metric, :opens_at, :closes_at, :total, :records, "
        "decode(:digest, 'hex'), :now) ON CONFLICT DO NOTHING"
    )
    parameters = {"user_id": user_id, "metric": metric, "opens_at": period.start, "closes_at": period.end}
    session.execute(statement, {**parameters, "total": total, "records": records, "digest": digest, "now": now})


def set_dropped(session: Session, archive_id: int, dropped_at: datetime | None) -> None:
    """Say that an archived month left the database, or came back."""
    statement = text("UPDATE billing.billing_usage_archives SET dropped_at = :dropped_at WHERE id = :id")
    session.execute(statement, {"id": archive_id, "dropped_at": dropped_at})
