from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from sqlalchemy import Engine

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import FixedClock
from billing_worker.runtime.settings import Settings
from tests.support.overage import Shop, open_shop
from tests.support.stripe_sandbox import Sandbox, run_sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def shop(
    sandbox: Sandbox, settings: Settings, engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock, redis: Redis
) -> Shop:
    return open_shop(sandbox, settings, engine, unit_of_work, clock, redis)
