"""Build lost records again from the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.usage.errors import ArchivedUsageError
from billing_worker.domains.usage.queries import archives, intake, lost
from billing_worker.domains.usage.queries.intake import Question
from billing_worker.domains.usage.rules import UsageRecord, payload_hash
from billing_worker.kernel.periods import Period

EVENT = "usage_recorded"
SOURCE = "reconstruct"

_log = structlog.get_logger(__name__)


class LoggedRecord(NamedTuple):
    """What the log says of one record that counted; `digest` is its idempotency key's."""

    id: int
    user_id: str
    metric_type: str
    value: int
    used_at: datetime
    unique_key: str | None
    digest: str | None
    batch_id: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """What the log knows, and what became of it.

    Shape: `present` were there; `retried` had failed to commit and were sent again under the same key; `closed` fall
    into closed periods and are left alone; `missing` are written, or would be.
    """

    logged: int
    present: int
    retried: int
    closed: int
    missing: Sequence[LoggedRecord]
    units: int


def reconstruct_usage(
    session: Session,
    lines: Iterable[Mapping[str, object]],
    *,
    user_id: str,
    period: Period,
    is_dry_run: bool,
    now: datetime,
) -> Reconstruction:
    """Write every record of a user and span that the log has and the database has not.

    Idempotent by: the record's id and instant, which stay what they were; its key is claimed again.
    Locks: shared with intake, against whoever freezes a period.
    Raises: ArchivedUsageError where the records lie in an archive and are not lost.
    """
    if (gone := archives.find_archived(session, period)) is not None:
        raise ArchivedUsageError(gone.month_start, gone.location)
    logged = {(one.id, one.used_at): one for one in _read(lines, user_id, period)}
    numbers = intake.allocate_numbers(session, 0)
    present = lost.find_present(session, list(logged))
    absent = [one for key, one in logged.items() if key not in present]
    owners = lost.find_claim_owners(session, [one.digest for one in absent if one.digest is not None])
    retried = [one for one in absent if one.digest in owners and owners[one.digest] != one.batch_id]
    questions = {one.id: Question(user_id, one.metric_type, one.used_at) for one in absent}
    frozen = intake.find_frozen_periods(session, questions)
    closed = [one for one in absent if one.id in frozen and one not in retried]
    missing = [one for one in absent if one.id not in frozen and one not in retried]
    if missing and not is_dry_run:
        _write(session, missing, numbers.batch_id, now)
    return Reconstruction(
        logged=len(logged),
        present=len(present),
        retried=len(retried),
        closed=len(closed),
        missing=missing,
        units=sum(one.value for one in missing),
    )


def _write(session: Session, missing: Sequence[LoggedRecord], batch_id: int, now: datetime) -> None:
    intake.insert_batch(
        session,
        batch_id=batch_id,
        source=SOURCE,
        record_count=len(missing),
        first_at=min(one.used_at for one in missing),
        last_at=max(one.used_at for one in missing),
        now=now,
    )
    claims = {one.digest: payload_hash(_as_sent(one)) for one in missing if one.digest is not None}
    intake.claim_digests(session, claims, batch_id=batch_id, now=now)
    rows = [
        (one.id, batch_id, one.user_id, one.metric_type, one.value, one.unique_key, one.used_at, one.recorded_at)
        for one in missing
    ]
    lost.insert_lost(session, rows)
    _log.info("usage_reconstructed", batch_id=batch_id, records=[one.id for one in missing])


def _as_sent(one: LoggedRecord) -> UsageRecord:
    """Return the record as its sender wrote it: a time that is the moment of recording was left out."""
    named = None if one.used_at == one.recorded_at else one.used_at
    return UsageRecord(one.user_id, one.metric_type, one.value, named, one.unique_key)


def _read(lines: Iterable[Mapping[str, object]], user_id: str, period: Period) -> Iterator[LoggedRecord]:
    for line in lines:
        records = line.get("records")
        if line.get("event") != EVENT or not isinstance(records, list):
            continue
        recorded_at = datetime.fromisoformat(str(line["recorded_at"]))
        for number, user, metric, value, used, unique_key, digest in records:
            used_at = datetime.fromisoformat(used)
            if isinstance(number, int) and user == user_id and period.start <= used_at < period.end:
                batch_id = int(str(line["batch_id"]))
                yield LoggedRecord(number, user, metric, value, used_at, unique_key, digest, batch_id, recorded_at)
