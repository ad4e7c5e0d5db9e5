"""Rules of silence: when a user who mostly has usage at such hours had none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from billing_worker.kernel.periods import Period

HOUR = timedelta(hours=1)
BASELINE = timedelta(days=28)
"""Four of every weekday: the rhythm a silence is measured by."""

DAYS_OF_A_RHYTHM = 3
"""What happened at an hour on one or two days says nothing of the next."""

SURPRISE = 3.0
"""A silence is told when the rhythm gives it a chance of at most one in twenty (e to the -3)."""


class Verdict(StrEnum):
    """What a silence means.

    Shape: `metering_broken` has evidence against us, `no_usage` evidence for us, `unknown` neither.
    """

    METERING_BROKEN = "metering_broken"
    NO_USAGE = "no_usage"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Silence:
    """A run of hours without usage; `expected_hours` of them would have had some by the user's rhythm."""

    start: datetime
    end: datetime
    expected_hours: float
    surprise: float


@dataclass
class Rhythm:
    """How often each hour of the week, and of the day, had usage."""

    zone: ZoneInfo
    seen: Counter[tuple[int, int]] = field(default_factory=Counter)
    active: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, hour: datetime, *, is_active: bool, times: int = 1) -> None:
        """Count an hour, or take it out again."""
        for name in self._names(hour):
            self.seen[name] += times
            self.active[name] += times if is_active else 0

    def chance(self, hour: datetime) -> float:
        """Return how likely usage is in an hour: the smaller of what its weekday and what its time of day say."""
        of_week, of_day = self._names(hour)
        return 0.0 if self.active[of_day] < DAYS_OF_A_RHYTHM else min(self._chance(of_week), self._chance(of_day))

    def _chance(self, name: tuple[int, int]) -> float:
        return 0.0 if not self.active[name] else (self.active[name] + 0.1) / (self.seen[name] + 0.2)

    def _names(self, hour: datetime) -> tuple[tuple[int, int], tuple[int, int]]:
        local = hour.astimezone(self.zone)
        return (local.weekday(), local.hour), (-1, local.hour)


def find_silences(active: Collection[datetime], known: Period, asked: Period, zone: ZoneInfo) -> list[Silence]:
    """Return the silences of a span by the rhythm of a longer one that holds it; a silence has no say in its rhythm.

    Shape: `active` are the starts of the hours with usage.
    """
    hours = set(active)
    if not hours:
        return []
    known = Period(max(known.start, min(hours)), known.end)
    rhythm = Rhythm(zone)
    for hour in _hours(known):
        rhythm.add(hour, is_active=hour in hours)
    found = []
    for run in _empty_runs(hours, Period(max(asked.start, known.start), min(asked.end, known.end))):
        for hour in run:
            rhythm.add(hour, is_active=False, times=-1)
        chances = [rhythm.chance(hour) for hour in run]
        surprise = -sum(math.log(1 - chance) for chance in chances)
        if surprise >= SURPRISE:
            found.append(Silence(run[0], run[-1] + HOUR, sum(chances), surprise))
        for hour in run:
            rhythm.add(hour, is_active=False)
    return found


def _hours(period: Period) -> Iterator[datetime]:
    hour = period.start
    while hour < period.end:
        yield hour
        hour += HOUR


def _empty_runs(active: set[datetime], period: Period) -> Iterator[list[datetime]]:
    run: list[datetime] = []
    for hour in _hours(period):
        if hour not in active:
            run.append(hour)
        elif run:
            yield run
            run = []
    if run:
        yield run
