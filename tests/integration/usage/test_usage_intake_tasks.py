"""The tasks of intake by their wire names, as messages bring them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.usage import tasks
from billing_worker.domains.usage.buffer import UsageBuffer
from billing_worker.domains.usage.errors import InvalidUsageError
from billing_worker.domains.usage.rules import UsageRecord
from billing_worker.kernel.clock import FixedClock
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.worker.container import Container
from billing_worker.worker.tasks import registry
from billing_worker.worker.wake import Waker

ONE = {"user": "user123", "metric": "api_calls", "value": 2, "at": "2026-02-28T10:00:00Z", "idempotency_key": "k1"}


@pytest.fixture
def container(
    settings: Settings, engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock, redis: Redis
) -> Container:
    return Container(
        settings=settings,
        engine=engine,
        unit_of_work=unit_of_work,
        clock=clock,
        redis=redis,
        waker=Waker(settings.broker_url, redis, webhook_queues=4),
        stripe=StripeGateway(settings),
        reactions=DISPATCHER,
    )


def run(container: Container, task: str, **arguments: object) -> object:
    assert tasks.PROBES, "importing the module registers its tasks"
    return registry[task].run(container, arguments)


def test_another_program_records_by_message_and_a_message_that_comes_twice_counts_once(
    container: Container, session: Session
) -> None:
    told = {"records": [ONE, ONE | {"value": 1.5, "idempotency_key": "k2"}, {"user": "u"}], "source": "shop"}
    with capture_logs() as logs:
        assert run(container, "usage.record", version=1, from_the_future=1, **told) == {
            "accepted": 1,
            "duplicates": 0,
            "refused": 2,
        }
    [line] = [line for line in logs if line["event"] == "usage_refused"]
    assert (line["source"], sorted(line["records"])) == ("shop", [1, 2])
    assert "Invalid integer: 1.5" in line["records"][1]
    assert run(container, "usage.record", **told) == {"accepted": 0, "duplicates": 1, "refused": 2}
    rows = session.execute(
        text("SELECT user_id, value, source FROM billing_usage u JOIN billing_usage_batches b ON b.id = u.batch_id")
    )
    assert [tuple(row) for row in rows] == [("user123", 2, "shop")]
    with pytest.raises(InvalidUsageError, match="version: 2 is not known"):
        run(container, "usage.record", version=2, **told)


def test_the_scheduled_tasks_flush_release_and_prune(
    container: Container, redis: Redis, clock: FixedClock, session: Session
) -> None:
    buffer = UsageBuffer(redis, capacity=container.settings.usage_buffer_size)
    buffer.add([UsageRecord("user123", "api_calls", 1, None, None, "k")], source="http:shop")
    slot = "2026-03-01T12:00:00+00:00"
    flushed = {"calls": 1, "records": 1, "duplicates": 0, "held": 0, "unreadable": 0, "unfinished": False}
    assert run(container, "usage.flush_buffer", due_at=slot) == flushed
    assert run(container, "usage.flush_buffer", due_at=slot) == dict.fromkeys(flushed, 0)
    assert run(container, "usage.release_held", due_at=slot) == {"released": 0, "waiting": 0, "refused": 0}
    assert run(container, "usage.prune_keys", due_at=slot) == {"deleted": 0}
    clock.advance(timedelta(days=37))
    assert run(container, "usage.prune_keys", due_at=slot) == {"deleted": 1}
    assert session.execute(text("SELECT count(*) FROM billing_usage")).scalar_one() == 1
