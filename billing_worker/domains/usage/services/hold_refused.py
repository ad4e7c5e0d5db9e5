"""Hold records that were acknowledged and cannot be recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.usage.errors import UsageError, UsageKeyConflictError
from billing_worker.domains.usage.queries import intake
from billing_worker.domains.usage.rules import UsageRecord, key_digest, payload_hash
from billing_worker.domains.usage.states import HeldReason

SCOPE = "held"
"""Of the keys under which a held record is remembered: its own key may belong to another record."""


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A record with the time of use it has if it says none, and why it cannot be recorded."""

    record: UsageRecord
    used_at: datetime
    error: UsageError


def hold_refused(session: Session, refused: Sequence[HeldRecord], *, source: str, now: datetime) -> int:
    """Keep refused records where `nself billing usage list-held` shows them, and return how many are new.

    Idempotent by: the record's key and content.
    """
    if not refused:
        return 0
    numbers = intake.allocate_numbers(session, 0)
    by_digest = {key_digest(SCOPE, f"{one.record.idempotency_key} {payload_hash(one.record)}"): one for one in refused}
    claims = {digest: payload_hash(one.record) for digest, one in by_digest.items()}
    known = intake.claim_digests(session, claims, batch_id=numbers.batch_id, now=now)
    rows = [
        (numbers.batch_id, *_content(one), now, one.record.idempotency_key, source, *_reason(one.error))
        for digest, one in by_digest.items()
        if digest not in known
    ]
    intake.insert_held(session, rows)
    return len(rows)


def _content(one: HeldRecord) -> tuple[object, ...]:
    user, metric, value, said, unique_key, _ = one.record
    return (user, metric, value, unique_key, said or one.used_at)


def _reason(error: UsageError) -> tuple[str, str]:
    conflict = isinstance(error, UsageKeyConflictError)
    return (HeldReason.KEY_CONFLICT if conflict else HeldReason.REFUSED).value, str(error)
