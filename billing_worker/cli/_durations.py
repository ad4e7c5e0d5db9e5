"""Parameter types: durations like 24h, and instants like 2026-01-30 or “24h ago”."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import click

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d|w)")


class DurationType(click.ParamType[timedelta]):
    """A length of time: 60s, 5m, 24h, 7d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read a duration; a bare number has no unit and is refused, because its meaning would be guessed."""
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no duration; write for example 60s, 5m, 24h or 7d", param, ctx)
        try:
            return timedelta(seconds=int(match[1]) * UNITS[match[2]])
        except OverflowError:
            self.fail(f"{value!r} is too long; write for example 7d", param, ctx)


class InstantType(click.ParamType[datetime]):
    """A moment: 2026-01-30, 2026-01-30 14:00:00, with a zone or in UTC, or a duration before now."""

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read an instant, aware."""
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        if _DURATION.fullmatch(text):
            try:
                return datetime.now(UTC) - DurationType().convert(text, param, ctx)
            except OverflowError:
                self.fail(f"{value!r} lies before all time; write for example 24h", param, ctx)
        try:
            read = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{value!r} is no time; write for example 2026-01-30, 2026-01-30T14:00:00Z or 24h", param, ctx)
        return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


class DayType(click.ParamType[date]):
    """A calendar day: 2026-01-30."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read a day."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is no day; write for example 2026-01-30", param, ctx)


DURATION = DurationType()
INSTANT = InstantType()
DAY = DayType()
