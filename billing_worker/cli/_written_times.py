"""Parameter type: an instant to come, as unix seconds, a time, or a day that begins in BILLING_TIMEZONE."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo

import click

EXAMPLES = "write for example 2027-02-14, 2027-02-14T14:00:00Z or unix seconds as `date +%s` prints them"


class WrittenTimeType(click.ParamType[date]):
    """A day, or an instant (which is a datetime, aware)."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read unix seconds, an ISO day or an ISO time; one without a zone is UTC."""
        if isinstance(value, date):
            return value
        text = str(value).strip()
        try:
            if text.isdecimal():
                return datetime.fromtimestamp(int(text), UTC)
            if len(text) == len("2027-02-14"):
                return date.fromisoformat(text)
            read = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; {EXAMPLES}", param, ctx)
        return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


WRITTEN_TIME = WrittenTimeType()


def instant_of(written: date | None, zone: tzinfo) -> datetime | None:
    """Return the instant: a day's is its first in the zone."""
    if written is None or isinstance(written, datetime):
        return written
    return datetime.combine(written, time(), zone)
