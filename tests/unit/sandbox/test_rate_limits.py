"""Rate limits count exactly, on a clock of the test's own."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from billing_worker.sandbox.api import Api, Request
from billing_worker.sandbox.core.rate_limits import RateLimits
from billing_worker.sandbox.core.world import World
from billing_worker.sandbox.disturbed import DisturbedApi
from billing_worker.sandbox.engine.cycles import DUTIES


class Second:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_endpoint_takes_25_a_second_and_recovers() -> None:
    clock = Second()
    limits = RateLimits(clock)
    limits.switch("live")
    answers = [limits.refuses("GET", "/v1/customers") for _ in range(27)]
    assert answers == [None] * 25 + ["endpoint-rate"] * 2
    assert limits.refuses("POST", "/v1/customers") is None
    clock.now += 1.0
    assert limits.refuses("GET", "/v1/customers") is None


@pytest.mark.parametrize(("mode", "overall"), [("stripe", 25), ("live", 100)])
def test_all_endpoints_together_have_a_limit(mode: str, overall: int) -> None:
    limits = RateLimits(Second())
    limits.switch(mode)
    answers = [limits.refuses("GET", f"/v1/resource_{number}") for number in range(overall + 1)]
    assert answers == [None] * overall + ["global-rate"]


def test_search_has_the_lowest_limit_and_meter_events_none() -> None:
    limits = RateLimits(Second())
    limits.switch("live")
    assert [limits.refuses("GET", "/v1/customers/search") for _ in range(21)] == [None] * 20 + ["endpoint-rate"]
    assert {limits.refuses("POST", "/v1/billing/meter_events") for _ in range(500)} == {None}


def test_off_counts_nothing() -> None:
    limits = RateLimits(Second())
    assert {limits.refuses("GET", "/v1/customers") for _ in range(500)} == {None}


def test_too_many_requests_are_answered_as_stripe_answers_them() -> None:
    world = World(DUTIES)
    disturbed = DisturbedApi(Api(world))
    disturbed.limits = RateLimits(Second())
    disturbed.limits.switch("stripe")
    key = {"authorization": "Bearer sk_test_0123456789", "stripe-version": "2026-10-28.endive"}
    answers = [disturbed.answer(Request("POST", "/v1/customers", "", key, b"name=one")) for _ in range(30)]
    assert Counter(answer.status for answer in answers) == {200: 25, 429: 5}
    error = json.loads(answers[-1].body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "rate_limit")
    assert answers[-1].headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert len(list(world.store.newest_first("customer"))) == 25
