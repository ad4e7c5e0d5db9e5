"""One clock for everything that is due (ARCHITECTURE §2.6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the billing time: the database's time, moved by an offset when the sandbox drives it."""

    def now(self) -> datetime:
        """Return the current billing time, aware, in UTC."""
        ...


class FixedClock:
    """A clock that stands still until it is moved: for tests and for what-if computations."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the instant it was last set to."""
        return self._at

    def advance(self, by: timedelta) -> None:
        """Move forward by a duration."""
        self._at += by


def from_unix(seconds: int) -> datetime:
    """Turn Stripe's integer timestamps into aware UTC times."""
    return datetime.fromtimestamp(seconds, tz=UTC)
