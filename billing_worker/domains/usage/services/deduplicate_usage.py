"""Take back records that were sent twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.usage.queries import corrections, intake, records
from billing_worker.domains.usage.queries.intake import FrozenPeriod, Question
from billing_worker.domains.usage.queries.records import RepeatedRecord
from billing_worker.kernel.periods import Period

SOURCE = "deduplicate"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What was repeated, and how much of it was taken back."""

    repeated: Sequence[RepeatedRecord]
    reversed_records: int
    adjusted_records: int
    units: int


def deduplicate_usage(
    session: Session, *, user_id: str, metric: str | None, period: Period, is_dry_run: bool, now: datetime
) -> TakenBack:
    """Write a record with the negative value against each surplus one; nothing is deleted.

    Shape: a duplicate has no key and repeats user, metric, value and named instant of a record of another batch. In a
    closed period an adjustment is written.
    Idempotent by: a record that was taken back is no duplicate any more.
    Locks: shared with intake, against whoever freezes a period.
    """
    found = [one for one in records.list_repeated(session, user_id, metric, period) if one.surplus]
    surplus = {number: one for one in found for number in one.surplus}
    units = sum(one.value for one in surplus.values())
    if is_dry_run or not surplus:
        return TakenBack(found, 0, 0, units)
    numbers = intake.allocate_numbers(session, len(surplus))
    frozen = intake.find_frozen_periods(
        session, {number: Question(user_id, one.metric_type, one.used_at) for number, one in surplus.items()}
    )
    open_ids = [number for number in surplus if number not in frozen]
    if open_ids:
        times = [surplus[number].used_at for number in open_ids]
        intake.insert_batch(
            session,
            batch_id=numbers.batch_id,
            source=SOURCE,
            record_count=len(open_ids),
            first_at=min(times),
            last_at=max(times),
            now=now,
        )
        own = numbers._replace(record_ids=numbers.record_ids[: len(open_ids)])
        corrections.insert_reversals(session, own, open_ids, now=now)
    intake.insert_adjustments(session, _adjustments(user_id, surplus, frozen, numbers.batch_id, now))
    _log.info("usage_deduplicated", user=user_id, records=sorted(surplus), units=units, batch_id=numbers.batch_id)
    return TakenBack(found, len(open_ids), len(frozen), units)


def _adjustments(
    user_id: str,
    surplus: dict[int, RepeatedRecord],
    frozen: dict[int, FrozenPeriod],
    batch_id: int,
    now: datetime,
) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for number, closed in frozen.items():
        one = surplus[number]
        content = (user_id, one.metric_type, closed.start, closed.end, -one.value, batch_id)
        rows.append((*content, f"takes back record {number}", now, one.used_at, one.unique_key, None))
    return rows
