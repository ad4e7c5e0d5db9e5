"""What processes share through Redis: the call budget, figures, open circuits, cached reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from billing_worker.kernel.keys import lane_of
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.breaker import CircuitState
from billing_worker.stripe_gateway.budget import LOCAL_SHARE, BudgetSpentError, CallBudget, Limits
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.errors import StripeNotFound
from billing_worker.stripe_gateway.figures import FigureKeeper, read_circuits, read_figures
from billing_worker.stripe_gateway.priority import Priority
from tests.support.stripe_sandbox import Sandbox, run_sandbox

HOUR = timedelta(hours=1)


class Waited(Exception):  # noqa: N818 - it is what happened
    """Stands for a wait, so that none is waited."""


def refuse_to_wait(_seconds: float) -> None:
    raise Waited


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


def granted(budget: CallBudget, operation: str, priority: Priority) -> int:
    """Take room until a wait would be needed."""
    for number in range(1000):
        try:
            budget.wait_for_room(operation, priority)
        except Waited:
            return number
    raise AssertionError("there was no end to the room")


def test_all_processes_take_from_one_budget_and_low_classes_leave_room(redis: Redis) -> None:
    one, other = (CallBudget(Limits(40, 30), redis, sleep=refuse_to_wait) for _ in range(2))
    assert granted(one, "a", Priority.RECONCILIATION) == 15  # half of the endpoint
    assert granted(other, "b", Priority.RECONCILIATION) == 5  # half of all, together
    assert granted(one, "b", Priority.PAYMENTS) == 10
    assert granted(other, "c", Priority.WEBHOOKS) == 6
    assert granted(other, "c", Priority.INTERACTIVE) == 4
    assert granted(one, "d", Priority.INTERACTIVE) == 0


def test_without_redis_each_process_takes_a_safe_share() -> None:
    budget = CallBudget(Limits(40, 30), Redis.from_url("redis://127.0.0.1:1"), sleep=refuse_to_wait)
    assert granted(budget, "a", Priority.INTERACTIVE) == 40 // LOCAL_SHARE


def test_who_would_wait_for_too_long_is_told_when_to_come_back(redis: Redis) -> None:
    budget = CallBudget(Limits(1, 1), redis, sleep=lambda _seconds: None)
    budget.wait_for_room("a", Priority.INTERACTIVE)
    with pytest.raises(BudgetSpentError, match="1 per second") as caught:
        budget.wait_for_room("a", Priority.INTERACTIVE)
    assert caught.value.retry_after_seconds is not None
    assert 0 < caught.value.retry_after_seconds <= 1.2


@pytest.mark.parametrize(
    ("mode", "rate", "buffer", "limits"),
    [
        ("test", 0, 0.8, Limits(20, 20)),
        ("live", 0, 0.8, Limits(80, 20)),
        ("live", 0, 1.0, Limits(100, 25)),
        ("test", 500, 0.5, Limits(250, 250)),
    ],
)
def test_the_limits_are_stripes_by_the_buffer(
    settings: Settings, mode: str, rate: int, buffer: float, limits: Limits
) -> None:
    changes = {"stripe_mode": mode, "stripe_rate_limit": rate, "stripe_rate_limit_buffer": buffer}
    assert Limits.of(settings.model_copy(update=changes)) == limits


def test_calls_are_counted_for_everybody(sandbox: Sandbox, settings: Settings, redis: Redis) -> None:
    gateway = StripeGateway(settings.model_copy(update={"stripe_api_base": sandbox.url}), redis=redis)
    customer = sandbox.api("POST", "customers")["id"]
    gateway.retrieve("customer", customer)
    with pytest.raises(StripeNotFound):
        gateway.on_behalf_of(Priority.RECONCILIATION).retrieve("customer", "cus_none")
    figures = read_figures(redis, now=datetime.now(UTC), span=HOUR)
    assert figures.calls == {"customer.retrieve": 2}
    assert figures.statuses == {"200": 1, "404": 1}
    assert figures.priorities == {"interactive": 1, "reconciliation": 1}
    assert (figures.total, figures.refused, figures.waits) == (2, {"customer.retrieve": 1}, 0)
    assert read_figures(redis, now=datetime.now(UTC) - 2 * HOUR, span=HOUR).total == 0


def test_an_open_circuit_is_seen_by_others(redis: Redis) -> None:
    keeper = FigureKeeper(redis)
    keeper.tell_circuit(CircuitState.OPEN, 10)
    assert list(read_circuits(redis).values()) == ["open"]
    keeper.tell_circuit(CircuitState.CLOSED, 10)
    assert read_circuits(redis) == {}


def test_a_cached_read_is_fresh_again_after_an_event_of_its_lane(
    sandbox: Sandbox, settings: Settings, redis: Redis
) -> None:
    on = {"stripe_api_base": sandbox.url, "stripe_enable_cache": True}
    gateway = StripeGateway(settings.model_copy(update=on), redis=redis)
    product = sandbox.api("POST", "products", name="old")["id"]

    def name(*, may_be_cached: bool = True) -> object:
        return gateway.retrieve("product", product, may_be_cached=may_be_cached).data["name"]

    assert name() == "old"
    sandbox.api("POST", f"products/{product}", name="new")
    assert (name(), name(may_be_cached=False)) == ("old", "new")
    assert len(redis.keys("billing:stripe:*")) == 1
    lane = lane_of(f"/product/{product}")
    gateway.forget_lanes([(lane + 1) % 64])
    assert name() == "old"
    gateway.forget_lanes([lane])
    assert name() == "new"
