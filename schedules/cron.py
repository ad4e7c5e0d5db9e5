"""Cron expressions on wall clocks, with a stated answer for the days on which the clock is changed.

Own code because the installed crontab computes relative to the last run and leaves both changes of the clock to
chance; here a slot depends on the expression and the zone alone, so every process computes the same instants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from billing_worker.kernel.errors import InvalidValueError

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))

SEARCH_DAYS = 366 * 9
"""29 February is up to eight years away (1896 to 1904, 2096 to 2104)."""


@dataclass(frozen=True)
class Cron:
    """Five sets of numbers; Sunday is 0.

    Order: a time that the spring change leaves out runs as much later as the clock was moved; a time that the autumn
    change repeats runs once, the first time; with every hour named, slots follow real time through both.
    """

    expression: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, expression: str) -> Cron:
        """Read `minute hour day-of-month month day-of-week` of `*`, numbers, ranges, steps and lists.

        Raises: InvalidValueError for what cannot be read, or never comes.
        """
        parts = expression.split()
        if len(parts) != len(_FIELDS):
            raise InvalidValueError(f"cron {expression!r} has {len(parts)} fields; write five, for example '0 3 * * *'")
        if parts[2] != "*" and parts[4] != "*":
            raise InvalidValueError(f"cron {expression!r} names days of the month and of the week; name one of them")
        minutes, hours, days, months, weekdays = (
            _parse_field(part, name, low, high) for part, (name, low, high) in zip(parts, _FIELDS, strict=True)
        )
        cron = cls(expression, minutes, hours, days, months, frozenset(day % 7 for day in weekdays))
        if not any(cron._is_day(date(2000, 1, 1) + timedelta(days=ahead)) for ahead in range(366)):
            raise InvalidValueError(f"cron {expression!r} names a day that never comes")
        return cron

    def at_or_after(self, instant: datetime, zone: ZoneInfo) -> datetime:
        """Return the first slot not before an instant, in UTC."""
        first = instant.astimezone(zone).date() - timedelta(days=1)
        for ahead in range(SEARCH_DAYS):
            for slot in self._slots_of(first + timedelta(days=ahead), zone):
                if slot >= instant:
                    return slot
        raise AssertionError("unreachable: parse() refused what never comes")

    def at_or_before(self, instant: datetime, zone: ZoneInfo) -> datetime:
        """Return the last slot not after an instant, in UTC."""
        last = instant.astimezone(zone).date() + timedelta(days=1)
        for back in range(SEARCH_DAYS):
            for slot in reversed(list(self._slots_of(last - timedelta(days=back), zone))):
                if slot <= instant:
                    return slot
        raise AssertionError("unreachable: parse() refused what never comes")

    def _is_day(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _slots_of(self, day: date, zone: ZoneInfo) -> Iterator[datetime]:
        if not self._is_day(day):
            return
        folds = (0, 1) if len(self.hours) == len(range(24)) else (0,)
        yield from sorted(
            {
                datetime.combine(day, time(hour, minute, fold=fold), tzinfo=zone).astimezone(UTC)
                for hour in self.hours
                for minute in self.minutes
                for fold in folds
            }
        )


def _parse_field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("*", "", "") if span == "*" else span.partition("-")
        bounds = (str(low), str(high if high != 7 else 6)) if first == "*" else (first, last or first)  # noqa: PLR2004
        if not all(number.isdecimal() for number in (*bounds, step or "1")):
            raise InvalidValueError(f"{text!r} is no {name} of a cron; write for example *, 5, 1-5, */15 or 0,30")
        start, end, stride = int(bounds[0]), int(bounds[1]), int(step or "1")
        if not (low <= start <= end <= high and stride >= 1):
            raise InvalidValueError(f"{text!r} is no {name} of a cron; the numbers go from {low} to {high}")
        numbers.update(range(start, end + 1, stride))
    return frozenset(numbers)
