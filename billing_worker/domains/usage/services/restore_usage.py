"""Bring archived records back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.usage.archive_stores import ArchiveStore
from billing_worker.domains.usage.errors import ArchiveError
from billing_worker.domains.usage.parquet import COLUMNS, read_parquet
from billing_worker.domains.usage.queries import archives, lost
from billing_worker.domains.usage.queries.archives import Archive
from billing_worker.kernel.periods import Period

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back; `present` were there already."""

    locations: tuple[str, ...]
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
    found = archives.list_archives_of(session, instant)
    if not found:
        raise ArchiveError(
            f"no archive has {instant:%Y-%m}; what was lost otherwise may be in the log: "
            "nself billing usage reconstruct --from-logs"
        )
    restored = present = 0
    for archive in found:
        rows = [
            row
            for row in _read(archive, open_store)
            if user_id is None or (row["user_id"] == user_id and period.start <= row["created_at"] < period.end)
        ]
        there = lost.find_present(session, [(row["id"], row["created_at"]) for row in rows])
        missing = [row for row in rows if (row["id"], row["created_at"]) not in there]
        restored, present = restored + len(missing), present + len(there)
        if not is_dry_run:
            archives.insert_restored(session, [[row[name] for name in COLUMNS] for row in missing], COLUMNS)
        if user_id is None and not is_dry_run:
            archives.set_dropped(session, archive.id, None)
    locations = tuple(archive.location for archive in found)
    if not is_dry_run:
        _log.info("usage_restored", locations=locations, user=user_id, records=restored)
    return Restored(locations, restored, present)


def _read(archive: Archive, open_store: Callable[[str], ArchiveStore]) -> list[dict[str, Any]]:
    content = open_store(archive.location).get(archive.location)
    if sha256(content).hexdigest() != archive.content_sha256:
        raise ArchiveError(f"{archive.location} is not what was written on {archive.archived_at:%Y-%m-%d}")
    return read_parquet(content)
