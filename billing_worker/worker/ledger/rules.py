"""When a job is due, which missed slots become runs, and how long a failed run waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import Settings
from schedules.cron import Cron
from schedules.job import Job, check_interval

MAX_SLOTS_PER_TICK = 500
"""Catching up years of a job each minute stays in short transactions; the next tick goes on a second later."""

MAX_ATTEMPTS = 5
"""Attempts of one run, crashes included; with the backoff below they reach over two and a half minutes."""

FIRST_BACKOFF = timedelta(seconds=10)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Cadence(Protocol):
    """The instants at which a job is due; a pure function of the schedule, the same in every process."""

    def describe(self) -> str:
        """Return the text that is stored beside the next slot, so that a changed schedule is noticed."""
        ...

    def at_or_after(self, instant: datetime) -> datetime:
        """Return the first slot not before an instant."""
        ...

    def at_or_before(self, instant: datetime) -> datetime:
        """Return the last slot not after an instant."""
        ...


@dataclass(frozen=True)
class Grid:
    """Slots at whole multiples of an interval since the epoch."""

    every: timedelta

    def describe(self) -> str:
        """Name the interval."""
        return f"every {int(self.every.total_seconds())} s"

    def at_or_after(self, instant: datetime) -> datetime:
        """Round up to the grid."""
        return _EPOCH - (_EPOCH - instant) // self.every * self.every

    def at_or_before(self, instant: datetime) -> datetime:
        """Round down to the grid."""
        return _EPOCH + (instant - _EPOCH) // self.every * self.every


@dataclass(frozen=True)
class WallClock:
    """Slots of a cron expression in a zone."""

    cron: Cron
    zone: ZoneInfo

    def describe(self) -> str:
        """Name expression and zone."""
        return f"cron {self.cron.expression} {self.zone.key}"

    def at_or_after(self, instant: datetime) -> datetime:
        """Return the first slot not before an instant."""
        return self.cron.at_or_after(instant, self.zone)

    def at_or_before(self, instant: datetime) -> datetime:
        """Return the last slot not after an instant."""
        return self.cron.at_or_before(instant, self.zone)


@dataclass(frozen=True)
class Schedule:
    """A job together with its slots under the settings of this process."""

    job: Job
    cadence: Cadence


def schedule_of(job: Job, settings: Settings) -> Schedule:
    """Resolve a job's cadence.

    Raises: InvalidValueError when the job names a setting that is missing or no usable interval.
    """
    if job.parsed_cron is not None:
        return Schedule(job, WallClock(job.parsed_cron, settings.billing_timezone))
    every = job.every if job.every_setting is None else getattr(settings, job.every_setting, None)
    if not isinstance(every, timedelta):
        raise InvalidValueError(f"job {job.name}: {job.every_setting} is no setting that holds a duration")
    check_interval(every, job=job.name)
    return Schedule(job, Grid(every))


@dataclass(frozen=True)
class DueSlots:
    """Slots that become runs now, and the slot to look at next."""

    slots: tuple[datetime, ...]
    next_due_at: datetime


def compute_due_slots(schedule: Schedule, *, next_due_at: datetime, now: datetime) -> DueSlots:
    """Decide which slots from `next_due_at` to `now` become runs, by the job's `if_missed`.

    Order: ascending. Under `each` at most MAX_SLOTS_PER_TICK; the rest stays due.
    """
    cadence = schedule.cadence
    first = cadence.at_or_after(next_due_at)
    if first > now:
        return DueSlots((), first)
    if schedule.job.if_missed == "each":
        return _each(cadence, first, now)
    newest = cadence.at_or_before(now)
    wanted = schedule.job.if_missed == "last" or newest == first
    return DueSlots((newest,) if wanted else (), _following(cadence, newest))


def compute_first_slot(schedule: Schedule, *, stored_next_due_at: datetime | None, now: datetime) -> datetime:
    """Return where a new job, or one whose schedule changed, begins.

    A changed schedule begins at the stored slot when that is past (slots missed during a release are caught up on the
    new schedule), and now when it is ahead (an earlier hour takes effect today).
    """
    since = now if stored_next_due_at is None else min(stored_next_due_at, now)
    return schedule.cadence.at_or_after(since)


def compute_backoff(attempts: int) -> timedelta:
    """Return how long a run waits after its n-th failed attempt."""
    return FIRST_BACKOFF * (1 << max(attempts - 1, 0))


def _each(cadence: Cadence, first: datetime, now: datetime) -> DueSlots:
    slots = [first]
    while len(slots) < MAX_SLOTS_PER_TICK and (slot := _following(cadence, slots[-1])) <= now:
        slots.append(slot)
    return DueSlots(tuple(slots), _following(cadence, slots[-1]))


def _following(cadence: Cadence, slot: datetime) -> datetime:
    return cadence.at_or_after(slot + timedelta(microseconds=1))
