"""Work out what Stripe's meters are still to be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.database.locks import LockClass, try_lock
from billing_worker.domains.usage.queries import meters
from billing_worker.domains.usage.queries.meters import MeterMark, NewEntry
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan
from billing_worker.domains.usage.services.measure_usage import measure_usage
from billing_worker.kernel.periods import Period, PeriodKind, period_containing

MARKS_PER_STEP = 1_000

CLOSED_AFTER = timedelta(hours=1, minutes=5)
"""From the start of an hour: its end, and five minutes for what is under way."""

OLDEST = timedelta(days=34)
"""Stripe takes events of the last 35 days; a day is left for retries."""

CANCEL_WITHIN = timedelta(hours=23)
"""Stripe cancels for 24 hours."""


def plan_meter_events(session: Session, *, metrics: MetricCatalog, zone: ZoneInfo, now: datetime) -> int | None:
    """Store an event for every closed hour whose number is not what the journal told; return how many hours were seen.

    Shape: an hour in which the customer's billing period ends is two segments, so that each is billed where it belongs;
    an event's value is the difference to what was told, its time the last second of its segment. None: somebody else is
    at it.
    Idempotent by: the sum of the journal: what was told is never told again, a changed number is told as a difference.
    Locks: one planner at a time.
    """
    if not try_lock(session, LockClass.METER_EVENTS, 0):
        return None
    marks = meters.take_marks(session, before=now - CLOSED_AFTER, limit=MARKS_PER_STEP)
    known = [mark for mark in marks if mark.metric_type in metrics and metrics.get(mark.metric_type).stripe_meter]
    boundaries = meters.list_period_boundaries(session, sorted({mark.customer_id for mark in known}))
    segments = [
        (mark, segment) for mark in known for segment in _segments(mark, boundaries.get(mark.customer_id, ()), zone)
    ]
    spans = [UsageSpan(mark.user_id, mark.metric_type, segment) for mark, segment in segments]
    measured = measure_usage(session, spans, metrics=metrics, zone=zone)
    for (mark, segment), measurement in zip(segments, measured, strict=True):
        _plan(session, mark, segment, measurement.value, metrics.get(mark.metric_type).stripe_meter or "", now)
    return len(marks)


def _segments(mark: MeterMark, boundaries: Sequence[datetime], zone: ZoneInfo) -> Iterator[Period]:
    hour = period_containing(PeriodKind.HOUR, mark.bucket_start, zone)
    start = hour.start
    for boundary in sorted({one for one in boundaries if hour.start < one < hour.end}):
        yield Period(start, boundary)
        start = boundary
    yield Period(start, hour.end)


def _plan(session: Session, mark: MeterMark, segment: Period, value: int, event_name: str, now: datetime) -> None:
    told = meters.find_told(session, mark.user_id, mark.metric_type, segment.start)
    difference = value - told.total
    if difference == 0:
        return
    cancels = None
    if difference < 0:
        cancels = meters.find_cancellable(
            session,
            mark.user_id,
            mark.metric_type,
            segment.start,
            value=-difference,
            sent_after=now - CANCEL_WITHIN,
        )
    occurred_at = segment.end - timedelta(seconds=1)
    is_too_old = occurred_at < now - OLDEST
    generation = told.generation + 1
    entry = NewEntry(
        account_id=mark.account_id,
        identifier=_identifier(mark, segment.start, generation),
        event_name=event_name,
        customer_id=mark.customer_id,
        value=difference,
        occurred_at=occurred_at,
        user_id=mark.user_id,
        metric_type=mark.metric_type,
        segment_start=segment.start,
        segment_end=segment.end,
        generation=generation,
        cancels=cancels,
        status="failed" if is_too_old else "pending",
        detail="older than the 35 days Stripe takes: bill it with an invoice item" if is_too_old else "",
    )
    meters.insert_entry(session, entry, now=now)


def _identifier(mark: MeterMark, start: datetime, generation: int) -> str:
    told = f"{mark.account_id}\x00{mark.user_id}\x00{mark.metric_type}\x00{start.timestamp():.0f}\x00{generation}"
    return f"nself-{sha256(told.encode()).hexdigest()[:40]}"
