"""Fixtures on real servers: PostgreSQL and Redis per test process, a fresh migrated database per test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import pytest
from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from billing_worker.database.engine import build_engine
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import FixedClock
from billing_worker.runtime.settings import Settings, load_settings
from billing_worker.stack.ephemeral import EphemeralServers, ephemeral_servers
from tests.support.databases import ReusedDatabase, make_template

# A busy machine must not fail a test, and a red run must be red again: no deadlines, the same examples every time.
# New examples are for whoever looks for them: ./scripts/test --hypothesis-profile search tests/…
hypothesis.settings.register_profile("search", deadline=None, print_blob=True, max_examples=500)
hypothesis.settings.register_profile("house", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("house")

_redis_numbers = itertools.count()

LONGEST = ("tests/scenarios/test_rehearsal.py", "tests/cli/test_services.py::test_the_whole_stack")
"""Stories of minutes: begun last, they would keep everybody waiting; one after the other, as each fills the cores."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the first xdist worker begin with the longest, whatever order was drawn."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EphemeralServers]:
    directory = tmp_path_factory.mktemp("servers")
    with ephemeral_servers(directory, postgres=True, redis=True) as running:
        make_template(running.database_url)
        yield running


@pytest.fixture(scope="session")
def reused_database(servers: EphemeralServers) -> Iterator[ReusedDatabase]:
    database = ReusedDatabase(servers.database_url)
    yield database
    database.close()


@pytest.fixture
def database_url(reused_database: ReusedDatabase) -> Iterator[str]:
    with reused_database.lend() as url:
        yield url


@pytest.fixture
def redis_url(servers: EphemeralServers) -> str:
    """One of Redis's sixteen databases, emptied."""
    url = f"{servers.redis_url.rsplit('/', 1)[0]}/{next(_redis_numbers) % 16}"
    Redis.from_url(url).flushdb()
    return url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return load_settings(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "STRIPE_SECRET_KEY": "sk_test_0123456789abcdef",
            "STRIPE_WEBHOOK_SECRET": "whsec_test_secret",
            "STRIPE_API_BASE": "http://127.0.0.1:1",
            "NSELF_HOME": str(tmp_path / ".nself"),
            "NSELF_ENV_FILE": str(tmp_path / ".env"),
        }
    )


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    built = build_engine(settings, application_name="test", pool_size=20)
    yield built
    built.dispose()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def unit_of_work(engine: Engine, clock: FixedClock) -> UnitOfWork:
    return UnitOfWork(engine, clock, statement_timeout=timedelta(seconds=30))


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine, expire_on_commit=False) as opened:
        yield opened
