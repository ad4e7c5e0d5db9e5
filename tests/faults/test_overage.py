"""kill -9 anywhere while overage is billed leaves one invoice item and one billed row."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.changes.door import ChangeDoor
from billing_worker.database.engine import build_engine
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.overage.services.bill_due_overages import CLAIM, Biller, bill_due_overages
from billing_worker.domains.overage.tasks import bill_due
from billing_worker.domains.payments.tasks import rescue_open_intents
from billing_worker.effects.services.create_intent import GRACE
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.periods import PeriodKind
from billing_worker.runtime.settings import Settings
from tests.support.changes import Victim
from tests.support.overage import Shop, open_shop
from tests.support.stripe_sandbox import Sandbox, run_sandbox

EXPIRE = text("UPDATE billing_intents SET lease_until = NULL")
TRANSACTIONS = 5
"""Decide and store the intent; claim; begin the call; store its answer; settle the row."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def shop(
    sandbox: Sandbox, settings: Settings, engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock, redis: Redis
) -> Shop:
    return open_shop(sandbox, settings, engine, unit_of_work, clock, redis)


class MortalUnitOfWork(UnitOfWork):
    """Dies by signal 9 instead of beginning one transaction more than it has left."""

    left = 0

    @contextmanager
    def transaction(self, *, statement_timeout: timedelta | None = None) -> Iterator[Session]:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        with super().transaction(statement_timeout=statement_timeout) as session:
            yield session


def bill_through(door: ChangeDoor) -> None:
    bill_due_overages(door.unit_of_work, Biller(door.gateway, door.board, door.sink, 50))


def die_after(shop: Shop, transactions: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            # The child touches nothing of the parent's.
            engine = build_engine(shop.container.settings, application_name="victim", pool_size=2)
            mortal = MortalUnitOfWork(engine, shop.clock, statement_timeout=timedelta(seconds=30))
            mortal.left = transactions
            bill_due(replace(shop.container, engine=engine, unit_of_work=mortal))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it got through alive"


@pytest.mark.parametrize("heir", ["rescue", "billing"])
@pytest.mark.parametrize("point", [*range(1, TRANSACTIONS + 1), "before_call", "before_commit"])
def test_kill_9_while_overage_is_billed_leaves_one_item(point: int | str, heir: str, shop: Shop) -> None:
    customer = shop.sandbox.paying_customer()
    price = shop.overage_price()
    shop.catch_up()
    shop.link(customer)
    shop.limit(1000, kind=PeriodKind.DAY)
    shop.use(1500)
    shop.pass_day()
    shop.compute()
    if isinstance(point, int):
        die_after(shop, point)
    else:
        Victim(shop.container.settings, shop.clock).die_at(point, bill_through)  # type: ignore[arg-type] # no change is returned, nor looked at
    with shop.unit_of_work.transaction() as session:
        session.execute(EXPIRE)
    shop.clock.advance(max(GRACE, CLAIM) + timedelta(minutes=1))
    if heir == "rescue":
        rescue_open_intents(shop.container)
    shop.bill()
    assert shop.rows() == [("billed", 500, 5000)]
    shop.sandbox.api("POST", f"prices/{price['id']}", active=False)  # the next case has its own
    assert [item["amount"] for item in shop.sandbox.listed("invoiceitems", customer=customer)] == [5000]
    assert shop.bill() == {}
