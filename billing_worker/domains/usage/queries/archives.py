"""SQL of archives: which months of raw records lie elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import text
from sqlalchemy.orm import Session

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


def list_archives(session: Session) -> list[Archive]:
    """Return every archive, oldest month first."""
    statement = text(f"SELECT {_COLUMNS} FROM billing.billing_usage_archives ORDER BY month_start, id")  # noqa: S608 - constant
    return [Archive(*row) for row in session.execute(statement)]


def find_archive_of(session: Session, instant: datetime) -> Archive | None:
    """Return the newest archive of the month that holds an instant."""
    statement = text(
        f"SELECT {_COLUMNS} FROM billing.billing_usage_archives "  # noqa: S608 - constant
        "WHERE month_start <= :instant AND month_end > :instant ORDER BY id DESC LIMIT 1"
    )
    row = session.execute(statement, {"instant": instant}).one_or_none()
    return None if row is None else Archive(*row)


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


def set_dropped(session: Session, archive_id: int, dropped_at: datetime | None) -> None:
    """Say that an archived month left the database, or came back."""
    statement = text("UPDATE billing.billing_usage_archives SET dropped_at = :dropped_at WHERE id = :id")
    session.execute(statement, {"id": archive_id, "dropped_at": dropped_at})
