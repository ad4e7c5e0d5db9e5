"""Record usage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.usage.errors import UsageError
from billing_worker.domains.usage.intake import SortedCall, sort_records
from billing_worker.domains.usage.queries import intake, users
from billing_worker.domains.usage.queries.intake import Question
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord
from billing_worker.domains.usage.states import HeldReason, Unknown
from billing_worker.domains.usage.written import WrittenCall, log_call


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that was not accepted: its position in the call and why."""

    index: int
    error: UsageError


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """What became of a call's records.

    Shape: `batch_id` is None when nothing new was accepted; `accepted` counts held records and adjustments too;
    `duplicate_indexes` and `held` name records by their position in the call.
    """

    batch_id: int | None
    accepted: int
    duplicates: int
    refused: tuple[RefusedRecord, ...]
    duplicate_indexes: frozenset[int] = frozenset()
    held: tuple[tuple[int, HeldReason], ...] = ()


def record_usage(
    session: Session,
    records: Sequence[UsageRecord],
    *,
    metrics: MetricCatalog,
    source: str,
    now: datetime,
    scope: str = "",
    unknown: Unknown = Unknown.REFUSE,
    used_at: Sequence[datetime] | None = None,
) -> RecordOutcome:
    """Store the records that are right and new; a bad one is refused by itself and takes no other with it.

    Shape: `used_at` are the times of records that say none themselves (default: now).
    Idempotent by: `idempotency_key` within `scope`, committed with the record, never before it.
    Locks: keys in the order of their digests; a call with a key that another one is just writing waits for its end.
    """
    call = sort_records(records, metrics=metrics, unknown=unknown, now=now)
    call.drop_unknown_users(users.find_unknown_users(session, call.users()), unknown)
    call.claim_keys(scope)
    batch_id = _store(session, call, source=source, now=now, used_at=used_at) if call.taken else None
    return RecordOutcome(
        batch_id=batch_id if call.taken else None,
        accepted=len(call.taken),
        duplicates=len(call.duplicates),
        refused=tuple(RefusedRecord(index, call.refused[index]) for index in sorted(call.refused)),
        duplicate_indexes=frozenset(call.duplicates),
        held=tuple(sorted(call.held.items())),
    )


def _store(
    session: Session, call: SortedCall, *, source: str, now: datetime, used_at: Sequence[datetime] | None
) -> int:
    numbers = intake.allocate_numbers(session, len(call.taken))
    claims = {digest: claim.payload_hash for digest, claim in call.claims.items()}
    call.settle_claims(intake.claim_digests(session, claims, batch_id=numbers.batch_id, now=now))
    if not call.taken:
        return numbers.batch_id
    written = WrittenCall.of(call, numbers, source=source, now=now, used_at=used_at)
    if (closed_until := intake.find_newest_frozen_end(session)) is not None:
        late = {
            index: Question(call.records[index].user_id, call.records[index].metric_type, written.times[index])
            for index in call.taken
            if written.times[index] < closed_until and index not in call.held
        }
        written.frozen = intake.find_frozen_periods(session, late)
    lines = written.usage_lines()
    if written.counted:
        times = [written.times[index] for index in written.counted]
        intake.insert_batch(
            session,
            batch_id=numbers.batch_id,
            source=source,
            record_count=len(times),
            first_at=min(times),
            last_at=max(times),
            now=now,
        )
        intake.copy_usage(session, lines)
    intake.insert_held(session, written.held_rows())
    intake.insert_adjustments(session, written.adjustment_rows())
    log_call(written)
    return numbers.batch_id
