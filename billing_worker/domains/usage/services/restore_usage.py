"""Bring archived records back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.usage.archive_stores import ArchiveStore
from billing_worker.domains.usage.errors import ArchiveError
from billing_worker.domains.usage.parquet import COLUMNS, read_parquet
from billing_worker.domains.usage.queries import archives, lost
from billing_worker.kernel.periods import Period

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back; `present` were there already."""

    location: str
    restored: int
    present: int


def restore_usage(
    session: Session,
    open_store: Callable[[str], ArchiveStore],
    *,
    instant: datetime,
    user_id: str | None,
    period: Period,
    is_dry_run: bool,
) -> Restored:
    """Write a user's records of a span back from the archive of its month, or all of the month without user.

    Shape: rollups have them already and stay as they are.
    Idempotent by: the records' ids and instants.
    Raises: ArchiveError when there is no archive, or when it is not what was written.
    """
    archive = archives.find_archive_of(session, instant)
    if archive is None:
        raise ArchiveError(
            f"no archive has {instant:%Y-%m}; what was lost otherwise may be in the log: "
            "nself billing usage reconstruct --from-logs"
        )
    content = open_store(archive.location).get(archive.location)
    if sha256(content).hexdigest() != archive.content_sha256:
        raise ArchiveError(f"{archive.location} is not what was written on {archive.archived_at:%Y-%m-%d}")
    wanted = [
        row
        for row in read_parquet(content)
        if user_id is None or (row["user_id"] == user_id and period.start <= row["created_at"] < period.end)
    ]
    present = lost.find_present(session, [(row["id"], row["created_at"]) for row in wanted])
    missing = [row for row in wanted if (row["id"], row["created_at"]) not in present]
    if not is_dry_run:
        archives.insert_restored(session, [[row[name] for name in COLUMNS] for row in missing], COLUMNS)
        if user_id is None:
            archives.set_dropped(session, archive.id, None)
        _log.info("usage_restored", location=archive.location, user=user_id, records=len(missing))
    return Restored(archive.location, len(missing), len(present))
