"""The unit of work: one transaction per phase, none across the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.kernel.clock import Clock


class UnitOfWork:
    """Opens transactions; a service that talks to the network opens one per phase.

    Phases: `with uow.transaction() as session:` commits at the end of the block and rolls back on any error.
    """

    def __init__(self, engine: Engine, clock: Clock, *, statement_timeout: timedelta) -> None:
        self.engine = engine
        self.clock = clock
        self._timeout_ms = int(statement_timeout.total_seconds() * 1000)

    @contextmanager
    def transaction(self, *, statement_timeout: timedelta | None = None) -> Iterator[Session]:
        """Open one transaction.

        Units: `statement_timeout` overrides DB_QUERY_TIMEOUT for this transaction; zero switches it off.
        """
        limit = self._timeout_ms if statement_timeout is None else int(statement_timeout.total_seconds() * 1000)
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            session.execute(text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": str(limit)})
            yield session

    def now(self) -> datetime:
        """Return the billing time."""
        return self.clock.now()
