"""Record usage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.copy import copy_rows
from billing_worker.domains.usage.errors import UsageError, UsageKeyConflictError
from billing_worker.domains.usage.queries import intake
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord, check_record, key_digest, payload_hash

_log = structlog.get_logger(__name__)

_COLUMNS = (
    "batch_id",
    "user_id",
    "metric_type",
    "value",
    "unique_key",
    "created_at",
    "recorded_at",
    "idempotency_key",
)


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that was not accepted: its position in the call and why."""

    index: int
    error: UsageError


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """What became of a call's records; `batch_id` is None when none was new."""

    batch_id: int | None
    accepted: int
    duplicates: int
    refused: tuple[RefusedRecord, ...]


@dataclass
class _Sorted:
    """The records of a call, told apart before any row is written."""

    refused: list[RefusedRecord] = field(default_factory=list)
    plain: list[UsageRecord] = field(default_factory=list)
    keyed: dict[bytes, tuple[int, UsageRecord]] = field(default_factory=dict)
    duplicates: int = 0


def record_usage(
    session: Session,
    records: Sequence[UsageRecord],
    *,
    metrics: MetricCatalog,
    source: str,
    now: datetime,
    scope: str = "",
) -> RecordOutcome:
    """Store the records that are right and new; a bad one is refused by itself and takes no other with it.

    Idempotent by: `idempotency_key` within `scope`, committed with the record, never before it.
    Locks: key rows in digest order; a call with a key that another call is just writing waits for its end.
    """
    call = _sort_out(records, metrics, now)
    duplicates = call.duplicates
    fresh = intake.claim_keys(
        session,
        scope=scope,
        keys={digest: payload_hash(record) for digest, (_, record) in call.keyed.items()},
        now=now,
    )
    known = intake.find_key_payloads(session, scope=scope, digests=[one for one in call.keyed if one not in fresh])
    for digest, hashed in known.items():
        index, record = call.keyed[digest]
        if hashed == payload_hash(record):
            duplicates += 1
        else:
            call.refused.append(RefusedRecord(index, UsageKeyConflictError(record.idempotency_key or "")))
    accepted = call.plain + [record for digest, (_, record) in call.keyed.items() if digest in fresh]
    batch_id = _store(session, accepted, source=source, now=now) if accepted else None
    refused = tuple(sorted(call.refused, key=lambda one: one.index))
    _log.info(
        "usage_recorded",
        source=source,
        batch_id=batch_id,
        accepted=len(accepted),
        duplicates=duplicates,
        refused=len(refused),
    )
    return RecordOutcome(batch_id, len(accepted), duplicates, refused)


def _sort_out(records: Sequence[UsageRecord], metrics: MetricCatalog, now: datetime) -> _Sorted:
    call = _Sorted()
    for index, record in enumerate(records):
        error = check_record(record, metrics, now)
        if error:
            call.refused.append(RefusedRecord(index, error))
        elif record.idempotency_key is None:
            call.plain.append(record)
        else:
            position, first = call.keyed.setdefault(key_digest(record.idempotency_key), (index, record))
            if position == index:
                continue
            if payload_hash(first) == payload_hash(record):
                call.duplicates += 1
            else:
                call.refused.append(RefusedRecord(index, UsageKeyConflictError(record.idempotency_key)))
    return call


def _store(session: Session, records: Sequence[UsageRecord], *, source: str, now: datetime) -> int:
    times = [record.created_at or now for record in records]
    batch_id = intake.insert_batch(
        session, source=source, record_count=len(records), first_at=min(times), last_at=max(times), now=now
    )
    rows = (
        (batch_id, one.user_id, one.metric_type, one.value, one.unique_key, used_at, now, one.idempotency_key)
        for one, used_at in zip(records, times, strict=True)
    )
    copy_rows(session, "billing_usage", _COLUMNS, rows)
    return batch_id
