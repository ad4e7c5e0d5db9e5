"""Celery's Beat with one thing to do: a tick a second, sent by whichever Beat leads.

The built-in schedulers count on the wall clock and on a broker connection of their own; this one paces itself by the
monotonic clock (a host whose clock is set back goes on ticking) and publishes through the waker, which fails fast.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from datetime import timedelta
from typing import Any

import structlog
from celery.beat import Scheduler
from redis import Redis
from sqlalchemy.exc import SQLAlchemyError

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.engine import build_engine
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.runtime.settings import Settings, load_settings
from billing_worker.worker.ledger.services.hold_lease import hold_lease
from billing_worker.worker.ledger.services.release_lease import release_lease
from billing_worker.worker.queues import TICK
from billing_worker.worker.wake import SOCKET_SECONDS, Delivery, Waker

TICK_TASK = "schedules.tick"
TICK_SECONDS = 1.0
TICK_EXPIRES_AFTER = timedelta(seconds=30)
"""Ticks that no worker took are dropped unread; longer than the clocks of two hosts may differ."""

LEASE_NAME = "beat"
LEASE_DURATION = timedelta(seconds=5)
"""A Beat that died is followed by the other one within five ticks."""

STATEMENT_TIMEOUT = timedelta(seconds=2)

_log = structlog.get_logger(__name__)


class LeaderScheduler(Scheduler):  # type: ignore[misc] # celery is untyped
    """Sends `schedules.tick` while it holds the lease; survives outages of PostgreSQL and Redis by going on.

    The lease only saves work: two Beats that both believe to lead send two ticks, and ticks are idempotent.
    """

    max_interval = TICK_SECONDS

    def __init__(self, app: Any, *, lazy: bool = False, settings: Settings | None = None, **options: Any) -> None:  # noqa: ANN401 - celery is untyped
        super().__init__(app, lazy=True, **options)
        if lazy:
            return  # Beat builds one such instance just to print its banner
        settings = settings or load_settings()
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        # Two connections: the signal handler releases the lease while the loop may be holding the other one.
        engine = build_engine(settings, application_name="beat", pool_size=2)
        self._unit_of_work = UnitOfWork(engine, DatabaseClock(engine), statement_timeout=STATEMENT_TIMEOUT)
        redis = Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=SOCKET_SECONDS)
        self._waker = Waker(settings.broker_url, redis, webhook_queues=settings.billing_webhook_queues)
        self._leading: bool | None = None
        self._next_at = time.monotonic()

    def tick(self, *_arguments: Any, **_options: Any) -> float:  # noqa: ANN401 - celery's own seams
        """Send one tick if this Beat leads; return the seconds to the next one."""
        if self._lead():
            delivery = Delivery(expires_after=TICK_EXPIRES_AFTER)
            self._waker.send(TICK_TASK, queue=TICK, kwargs={}, delivery=delivery)
        # A Beat that was held up goes on from now; it does not send the ticks it owes in a burst.
        self._next_at = max(self._next_at + TICK_SECONDS, time.monotonic())
        return self._next_at - time.monotonic()

    def close(self) -> None:
        """Give up the lease, so that the other Beat leads at its next tick."""
        super().close()
        try:
            with self._unit_of_work.transaction() as session:
                release_lease(session, name=LEASE_NAME, holder=self.holder)
        except SQLAlchemyError as error:
            _log.warning("beat_lease_unreleased", error=str(error))

    def _lead(self) -> bool:
        try:
            with self._unit_of_work.transaction() as session:
                leading = hold_lease(session, name=LEASE_NAME, holder=self.holder, duration=LEASE_DURATION)
        except SQLAlchemyError as error:
            # Without the database a tick could do nothing either.
            _log.warning("beat_database_unreachable", error=str(error))
            leading = False
        if leading != self._leading:
            _log.info("beat_leads" if leading else "beat_follows", holder=self.holder)
            self._leading = leading
        return leading
