"""Half-open periods of local time: hours, days, weeks, months and billing periods with an anchor."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from billing_worker.kernel.errors import InvalidValueError


class PeriodKind(StrEnum):
    """The lengths a quota or a rollup can have."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    BILLING = "billing"


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time, start included, end excluded; both aware and in UTC."""

    start: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


def period_containing(kind: PeriodKind, instant: datetime, zone: ZoneInfo) -> Period:
    """Find the calendar period of an instant: boundaries are local, values are UTC instants.

    Raises: InvalidValueError for BILLING, which needs an anchor (`billing_period_containing`).
    """
    local = instant.astimezone(zone)
    if kind is PeriodKind.HOUR:
        # Hours are cut on the UTC line, shifted by the zone's offset, so the repeated hour of DST stays two hours.
        offset = local.utcoffset() or timedelta()
        shifted = (instant.astimezone(UTC) + offset).replace(minute=0, second=0, microsecond=0)
        start = shifted - offset
        return Period(start, start + timedelta(hours=1))
    first, following = _local_dates(kind, local)
    return Period(_local_midnight(first, zone), _local_midnight(following, zone))


def _local_dates(kind: PeriodKind, local: datetime) -> tuple[datetime, datetime]:
    day = local.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    if kind is PeriodKind.DAY:
        return day, day + timedelta(days=1)
    if kind is PeriodKind.WEEK:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    if kind is PeriodKind.MONTH:
        first = day.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)
    raise InvalidValueError(f"a {kind} period needs an anchor; calendar periods are hour, day, week and month")


def _local_midnight(day: datetime, zone: ZoneInfo) -> datetime:
    return datetime.combine(day.date(), time.min, tzinfo=zone).astimezone(UTC)


def add_months(anchor: datetime, months: int) -> datetime:
    """Move an anchor by whole months; a day that a month lacks becomes its last day (31 Jan → 28 Feb → 31 Mar)."""
    index = anchor.year * 12 + anchor.month - 1 + months
    year, month = divmod(index, 12)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


def billing_period_containing(anchor: datetime, instant: datetime, *, months: int = 1) -> Period:
    """Find the billing period of an instant, counted from the anchor as Stripe does (in UTC)."""
    anchor, instant = anchor.astimezone(UTC), instant.astimezone(UTC)
    steps = ((instant.year - anchor.year) * 12 + instant.month - anchor.month) // months
    while add_months(anchor, steps * months) > instant:
        steps -= 1
    while add_months(anchor, (steps + 1) * months) <= instant:
        steps += 1
    return Period(add_months(anchor, steps * months), add_months(anchor, (steps + 1) * months))
