"""The database's time plus the sandbox's offset: the one clock of every process (ARCHITECTURE §2.6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

_NOW = text(
    "SELECT clock_timestamp() + make_interval(secs => (SELECT offset_seconds FROM billing.billing_clock WHERE id = 1))"
)


class DatabaseClock:
    """Reads the clock from PostgreSQL, so that hosts with skewed clocks agree on what is due."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def now(self) -> datetime:
        """Return the billing time; one round trip."""
        with self._engine.connect() as connection:
            return cast("datetime", connection.execute(_NOW).scalar_one()).astimezone(UTC)


def read_offset(session: Session) -> timedelta:
    """Return how far billing time is ahead of wall time: zero except with the sandbox."""
    seconds = session.execute(text("SELECT offset_seconds FROM billing.billing_clock WHERE id = 1")).scalar_one()
    return timedelta(seconds=cast("int", seconds))


def set_offset(session: Session, offset: timedelta) -> None:
    """Move the clock forward to a new offset; only the driver of the sandbox calls this.

    Raises: IntegrityError for a negative offset. Time never runs backwards: a smaller offset changes nothing.
    """
    session.execute(
        text("UPDATE billing.billing_clock SET offset_seconds = greatest(offset_seconds, :s) WHERE id = 1"),
        {"s": int(offset.total_seconds())},
    )
