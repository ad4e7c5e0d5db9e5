from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from redis import Redis
from sqlalchemy import Engine

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.dunning.tasks import run_effects
from billing_worker.domains.payments.tasks import collect_due, record_transactions, rescue_open_intents
from billing_worker.kernel.clock import FixedClock
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import Settings
from billing_worker.worker.container import Container
from billing_worker.worker.wake import Waker
from tests.support.stripe_sandbox import Sandbox, bring_events, follow, gateway_to, run_sandbox


@dataclass
class Shop:
    """A sandbox and our side of it, driven by hand: events come when brought, tasks run when called."""

    sandbox: Sandbox
    container: Container
    clock: FixedClock
    known: set[str] = field(default_factory=set)

    def catch_up(self) -> None:
        """Follow the sandbox's clock, bring its events and perform the effects that are due."""
        follow(self.clock, self.sandbox)
        bring_events(self.sandbox, self.container.engine, self.container.unit_of_work, DISPATCHER, known=self.known)
        run_effects(self.container)
        record_transactions(self.container)

    def collect(self) -> dict[str, object]:
        return dict(collect_due(self.container) or {})

    def rescue(self) -> dict[str, object]:
        return dict(rescue_open_intents(self.container) or {})


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def shop(
    sandbox: Sandbox, settings: Settings, engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock, redis: Redis
) -> Shop:
    settings = settings.model_copy(update={"billing_collector": "nself", "stripe_api_base": sandbox.url})
    container = Container(
        settings=settings,
        engine=engine,
        unit_of_work=unit_of_work,
        clock=clock,
        redis=redis,
        waker=Waker(settings.broker_url, redis, webhook_queues=4),
        stripe=gateway_to(sandbox, settings),
        reactions=DISPATCHER,
    )
    return Shop(sandbox, container, clock)
