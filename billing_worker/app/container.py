"""Builds the container of a process."""

from __future__ import annotations

from redis import Redis

from billing_worker.app.installation import bind_installation
from billing_worker.database.clock import DatabaseClock
from billing_worker.database.engine import build_engine
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.worker.container import Container
from billing_worker.worker.wake import Waker

REDIS_SOCKET_SECONDS = 1.0
"""Redis is a fast path: one that hangs is treated as one that is away."""


def build_container(settings: Settings) -> Container:
    """Connect everything a task or a command needs, and check that the database is this installation's.

    Raises: OtherInstallationError; DBAPIError when the database is away.
    """
    engine = build_engine(settings, application_name="nself")
    clock = DatabaseClock(engine)
    unit_of_work = UnitOfWork(engine, clock, statement_timeout=settings.db_query_timeout)
    redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=REDIS_SOCKET_SECONDS,
        socket_connect_timeout=REDIS_SOCKET_SECONDS,
    )
    gateway = StripeGateway(settings, redis=redis)
    bind_installation(unit_of_work, gateway, settings)
    return Container(
        settings=settings,
        engine=engine,
        unit_of_work=unit_of_work,
        clock=clock,
        redis=redis,
        waker=Waker(settings.broker_url, redis, webhook_queues=settings.billing_webhook_queues),
        stripe=gateway,
        reactions=DISPATCHER,
    )
