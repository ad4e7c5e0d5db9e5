"""Parameter type: a moment, given as a time or as how long ago on the billing clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import click

from billing_worker.cli._durations import DURATION, INSTANT


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time that is fixed, or counted back from now."""

    fixed: datetime | None = None
    ago: timedelta | None = None

    def __str__(self) -> str:
        """Say it as the audit trail shows it."""
        return f"{self.ago} ago" if self.fixed is None else self.fixed.isoformat()

    def at(self, now: datetime) -> datetime:
        """Return the instant; `now` is the billing time, which runs ahead of this machine's under the sandbox.

        Raises: click.UsageError for one before all time.
        """
        if self.ago is None:
            return self.fixed or now
        try:
            return now - self.ago
        except OverflowError:
            raise click.UsageError(f"{self.ago} ago lies before all time; write for example 24h") from None


class MomentType(click.ParamType[Moment]):
    """A moment: 24h (ago), 2026-01-30, 2026-01-30T14:00:00Z."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """Read a duration as how long ago, anything else as a time."""
        if isinstance(value, Moment):
            return value
        try:
            return Moment(ago=DURATION.convert(value, None, None))
        except click.BadParameter:
            return Moment(fixed=INSTANT.convert(value, param, ctx))


MOMENT = MomentType()


def at(moment: Moment | None, now: datetime) -> datetime | None:
    """Return the instant of a moment that may not be given."""
    return None if moment is None else moment.at(now)
