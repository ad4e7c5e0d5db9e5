"""A test clock on its way: nobody changes its customers meanwhile, and one that breaks says so and stands."""

from __future__ import annotations

import json
import logging
from urllib.parse import urlencode

import pytest

from billing_worker.sandbox.api import Api, Request
from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import TEST_CLOCK, Session
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.core.world import World
from billing_worker.sandbox.engine.cycles import DUTIES

FROZEN = 1_900_000_000
DAY = 86_400
KEY = {"authorization": "Bearer sk_test_0123456789", "stripe-version": "2026-10-28.endive"}


class Standing:
    """A world whose clocks start when the test says so."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._api = Api(world)

    def call(self, method: str, path: str, **params: object) -> tuple[int, Document]:
        body = urlencode(params).encode()
        response = self._api.answer(Request(method, f"/v1/{path}", "", KEY, body))
        return response.status, json.loads(response.body)

    def sent_off(self, name: str = "") -> tuple[str, str]:
        _, clock = self.call("POST", "test_helpers/test_clocks", frozen_time=FROZEN)
        _, customer = self.call("POST", "customers", test_clock=clock["id"], name=name)
        status, leaving = self.call("POST", f"test_helpers/test_clocks/{clock['id']}/advance", frozen_time=FROZEN + DAY)
        assert (status, leaving["status"], leaving["frozen_time"]) == (200, "advancing", FROZEN)
        return clock["id"], customer["id"]

    def arrived(self) -> None:
        self.world.start()
        assert self.world.wait_until_clocks_stand(30)
        self.world.stop()


@pytest.fixture
def standing() -> Standing:
    return Standing(World(DUTIES))


def test_customers_of_an_advancing_clock_are_read_and_not_changed(standing: Standing) -> None:
    clock, customer = standing.sent_off()
    for method, path in (
        ("POST", f"customers/{customer}"),
        ("DELETE", f"customers/{customer}"),
        ("DELETE", f"test_helpers/test_clocks/{clock}"),
    ):
        status, refused = standing.call(method, path, **({"name": "changed"} if method == "POST" else {}))
        assert (status, refused["error"]["code"]) == (400, "test_clock_advancing"), path
    again = standing.call("POST", f"test_helpers/test_clocks/{clock}/advance", frozen_time=FROZEN + 2 * DAY)
    assert (again[0], again[1]["error"]["code"]) == (400, "test_clock_advancing")
    status, unchanged = standing.call("GET", f"customers/{customer}")
    assert (status, unchanged["name"]) == (200, None)
    bystander = standing.call("POST", "customers", name="somebody else")
    assert bystander[0] == 200
    standing.arrived()
    status, changed = standing.call("POST", f"customers/{customer}", name="changed")
    assert (status, changed["name"]) == (200, "changed")


def test_a_clock_that_breaks_says_so_and_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    def due_at(customer: Document) -> int | None:
        return FROZEN + 60 if customer["name"] == "breaks" else None

    def act(_: Session, customer: Document) -> None:
        raise LookupError(customer["id"])

    standing = Standing(World({**DUTIES, "customer": Duty(due_at, act)}))
    broken, _ = standing.sent_off("breaks")
    whole, _ = standing.sent_off("holds")
    with caplog.at_level(logging.ERROR, "sandbox"):
        standing.arrived()
    states = {clock["id"]: clock["status"] for clock in standing.world.store.newest_first(TEST_CLOCK)}
    assert states == {broken: "internal_failure", whole: "ready"}
    assert [record.getMessage() for record in caplog.records] == [f"test clock {broken} failed to advance"]
    failed = [event for event in standing.world.log.all() if event.type == "test_helpers.test_clock.internal_failure"]
    assert [event.document()["data"]["object"]["id"] for event in failed] == [broken]
    status, refused = standing.call("POST", f"test_helpers/test_clocks/{broken}/advance", frozen_time=FROZEN + DAY)
    assert (status, "delete it" in refused["error"]["message"]) == (400, True)
