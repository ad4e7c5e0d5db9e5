"""What the API's endpoints are built from: the infrastructure of one process, without Stripe."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from billing_worker.database.clock import DatabaseClock
from billing_worker.database.engine import build_engine
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.http_api.metrics import ApiMetrics
from billing_worker.runtime.settings import Settings
from billing_worker.worker.wake import SOCKET_SECONDS, Waker


@dataclass(frozen=True)
class ApiContainer:
    """Built once per process; endpoints hand single fields of it to services.

    Shape: `redis` and `waker` may be away at any moment; `catalog` is read once, a changed file needs a restart.
    """

    settings: Settings
    engine: Engine
    unit_of_work: UnitOfWork
    redis: Redis
    waker: Waker
    catalog: MetricCatalog
    metrics: ApiMetrics


def build_api_container(settings: Settings) -> ApiContainer:
    """Connect lazily: nothing here needs PostgreSQL or Redis to be there yet."""
    pool_size = max(settings.billing_db_pool_size, 2)
    engine = build_engine(settings, application_name="http_api", pool_size=pool_size)
    redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),  # the driver's own retries sleep for seconds; PostgreSQL answers meanwhile
    )
    return ApiContainer(
        settings=settings,
        engine=engine,
        unit_of_work=UnitOfWork(engine, DatabaseClock(engine), statement_timeout=settings.db_query_timeout),
        redis=redis,
        waker=Waker(settings.broker_url, redis, webhook_queues=settings.billing_webhook_queues),
        catalog=load_metrics(),
        metrics=ApiMetrics(),
    )
