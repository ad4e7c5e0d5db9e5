"""Deliveries are signed, retried, counted, and disturbed only as told."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest
import requests

from billing_worker.stripe_gateway.signature import NoMatchingSignatureError, verify_signature
from tests.integration.sandbox.process import SECRET, Receiver, Sandbox, hosted, receiving, running


def wait(sandbox: Sandbox) -> dict[str, int]:
    return sandbox.control("deliveries/wait", {"timeout_seconds": 60})


def customers(sandbox: Sandbox, count: int) -> None:
    for number in range(count):
        sandbox.v1.customers.create({"name": f"c{number}"})


def listen(sandbox: Sandbox, receiver: Receiver, *types: str) -> str:
    endpoint = sandbox.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": list(types) or ["*"]})
    return str(endpoint.secret)


def test_every_event_arrives_signed_over_few_connections(fresh: Sandbox) -> None:
    with receiving() as receiver:
        secret = listen(fresh, receiver)
        fresh.advance(days=100)
        customers(fresh, 40)
        counters = wait(fresh)
        assert sorted(receiver.ids()) == sorted(event["id"] for event in fresh.events())
        for delivery in receiver.deliveries:
            # Signature time is wall time although the sandbox is a hundred days ahead.
            assert verify_signature(delivery.body, delivery.signature, [secret], now=int(time.time())) == 0
            assert delivery.path == "/hooks?from=sandbox"
            assert delivery.event["pending_webhooks"] == 1
        assert receiver.connections <= 4
        assert counters == {
            **dict.fromkeys(("failed", "duplicates", "late", "dropped", "forged", "outdated", "pending", "held"), 0),
            "events": 40,
            "deliveries": 40,
            "attempts": 40,
            "reordered": counters["reordered"],
        }
        assert {event["pending_webhooks"] for event in fresh.events()} == {0}


def test_a_refused_delivery_is_tried_again(fresh: Sandbox) -> None:
    with receiving() as receiver:
        receiver.answers = [500, 404, 302]
        listen(fresh, receiver)
        customers(fresh, 1)
        counters = wait(fresh)
        assert len(receiver.deliveries) == 4
        assert len({delivery.body for delivery in receiver.deliveries}) == 1
        assert (counters["attempts"], counters["deliveries"], counters["failed"]) == (4, 1, 0)


def test_an_endpoint_that_is_down_gets_its_events_when_it_is_back(fresh: Sandbox) -> None:
    with receiving() as receiver:
        endpoint = fresh.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/none", "enabled_events": ["*"]})
        customers(fresh, 3)
        timed_out = fresh.control("deliveries/wait", {"timeout_seconds": 0}, status=504)
        assert timed_out["pending"] == 3
        fresh.v1.webhook_endpoints.update(endpoint.id, {"url": receiver.url})
        assert wait(fresh)["deliveries"] == 3
        assert len(set(receiver.ids())) == 3


def test_only_enabled_types_and_endpoints_get_events(fresh: Sandbox) -> None:
    with receiving() as some, receiving() as disabled:
        listen(fresh, some, "product.created", "customer.deleted")
        off = fresh.v1.webhook_endpoints.create({"url": disabled.url, "enabled_events": ["*"]})
        assert fresh.v1.webhook_endpoints.update(off.id, {"disabled": True}).status == "disabled"
        customer = fresh.v1.customers.create({})
        fresh.v1.products.create({"name": "A"})
        fresh.v1.customers.delete(customer.id)
        wait(fresh)
        assert sorted(delivery.event["type"] for delivery in some.deliveries) == ["customer.deleted", "product.created"]
        assert disabled.deliveries == []
        assert "secret" not in fresh.v1.webhook_endpoints.retrieve(off.id).to_dict()


def test_deliveries_can_be_paused(fresh: Sandbox) -> None:
    with receiving() as receiver:
        listen(fresh, receiver)
        fresh.control("deliveries", {"paused": True})
        customers(fresh, 5)
        assert fresh.control("deliveries/wait", {"timeout_seconds": 0.3}, status=504)["pending"] == 5
        assert receiver.deliveries == []
        fresh.control("deliveries", {"paused": False})
        assert wait(fresh)["deliveries"] == 5


def test_disorder_loses_nothing_and_is_counted(fresh: Sandbox) -> None:
    with receiving() as receiver:
        listen(fresh, receiver)
        fresh.control("deliveries", {"late": 0.3, "twice": 0.3, "shuffle": 0.3, "seed": 7})
        customers(fresh, 120)
        wait(fresh)
        flushed = fresh.control("deliveries/flush", {})
        assert flushed["released"] > 0
        counters = wait(fresh)
        seen = Counter(receiver.ids())
        assert set(seen) == {event["id"] for event in fresh.events()}
        assert counters["duplicates"] == sum(times - 1 for times in seen.values())
        assert 15 < counters["duplicates"] < 60
        assert 15 < counters["late"] < 60
        assert counters["reordered"] > 5
        assert counters["deliveries"] == 120 + counters["duplicates"]
        assert (counters["held"], counters["pending"], counters["failed"]) == (0, 0, 0)
        order = [event["id"] for event in fresh.events()]
        assert list(dict.fromkeys(receiver.ids())) != order


def test_late_events_wait_for_a_flush_when_nothing_follows(fresh: Sandbox) -> None:
    with receiving() as receiver:
        listen(fresh, receiver)
        fresh.control("deliveries", {"late": 1.0})
        customers(fresh, 3)
        assert wait(fresh)["held"] == 3
        assert receiver.deliveries == []
        assert fresh.control("deliveries/flush", {})["released"] == 3
        assert wait(fresh)["late"] == 3
        assert len(receiver.deliveries) == 3


def test_dropped_events_can_still_be_listed(fresh: Sandbox) -> None:
    with receiving() as receiver:
        listen(fresh, receiver)
        fresh.control("deliveries", {"drop": 1.0})
        customers(fresh, 4)
        counters = wait(fresh)
        assert (counters["dropped"], counters["deliveries"], counters["events"]) == (4, 0, 4)
        assert receiver.deliveries == []
        assert len(fresh.events()) == 4


def test_the_same_seed_gives_the_same_fates() -> None:
    fates = []
    for _ in range(2):
        with hosted() as sandbox, receiving() as receiver:
            listen(sandbox, receiver)
            sandbox.control("deliveries", {"drop": 0.5, "seed": 42})
            customers(sandbox, 20)
            wait(sandbox)
            names = {delivery.event["data"]["object"]["name"] for delivery in receiver.deliveries}
            fates.append(names)
    assert fates[0] == fates[1]
    assert 0 < len(fates[0]) < 20


@pytest.mark.parametrize("given", [{"late": 2}, {"drop": -1}, {"seed": "x"}, {"paused": 1}, {"colour": 1}])
def test_impossible_disorder_is_refused(sandbox: Sandbox, given: dict[str, object]) -> None:
    answer = sandbox.control("deliveries", given, status=400)
    assert answer["error"]["type"] == "invalid_request_error"


def test_any_event_can_be_delivered_without_being_history(fresh: Sandbox) -> None:
    with receiving() as receiver:
        listen(fresh, receiver)
        odd = {"id": "evt_odd", "object": "event", "type": "made.up", "created": 1, "data": {"object": {}}}
        assert fresh.control("webhooks/emit", odd) == {"endpoints": 1}
        wait(fresh)
        assert [delivery.event for delivery in receiver.deliveries] == [odd]
        assert fresh.events() == []


def test_the_environments_endpoint_is_made_once() -> None:
    with receiving() as receiver, running(webhook_url=receiver.url) as sandbox:
        customers(sandbox, 1)
        wait(sandbox)
        delivery = receiver.deliveries[0]
        assert verify_signature(delivery.body, delivery.signature, [SECRET], now=int(time.time())) == 0
        listed = requests.get(f"{sandbox.base}/v1/webhook_endpoints", headers=sandbox.http.headers, timeout=30).json()
        assert [endpoint["enabled_events"] for endpoint in listed["data"]] == [["*"]]
        assert SECRET not in json.dumps(listed)


def test_a_wrong_signature_comes_first_and_the_right_one_after_it(fresh: Sandbox) -> None:
    with receiving() as receiver:
        receiver.answers = [400] * 3
        secret = listen(fresh, receiver)
        fresh.control("deliveries", {"forge": 1.0})
        customers(fresh, 3)
        counters = wait(fresh)
        assert (counters["forged"], counters["attempts"], counters["deliveries"]) == (3, 6, 3)
        now = int(time.time())
        signed: dict[str, list[bool]] = {}
        for delivery in receiver.deliveries:
            try:
                verify_signature(delivery.body, delivery.signature, [secret], now=now)
            except NoMatchingSignatureError:
                signed.setdefault(delivery.event["id"], []).append(False)
            else:
                signed.setdefault(delivery.event["id"], []).append(True)
        assert list(signed.values()) == [[False, True]] * 3


def test_events_in_an_old_version_have_the_old_shape(fresh: Sandbox) -> None:
    with receiving() as receiver, receiving() as pinned:
        listen(fresh, receiver, "customer.subscription.created", "invoice.paid")
        fresh.v1.webhook_endpoints.create(
            {"url": pinned.url, "enabled_events": ["invoice.paid"], "api_version": "2024-06-20"}
        )
        fresh.control("deliveries", {"outdate": 1.0})
        payer, price = fresh.payer(), fresh.price(1500)
        fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
        assert wait(fresh)["outdated"] == 3
        events = {delivery.event["type"]: delivery.event for delivery in receiver.deliveries}
        assert {event["api_version"] for event in events.values()} == {"2020-08-27"}
        subscription = events["customer.subscription.created"]["data"]["object"]
        item = subscription["items"]["data"][0]
        assert "current_period_end" not in item
        assert subscription["current_period_end"] > subscription["current_period_start"]
        assert (subscription["plan"]["id"], subscription["quantity"]) == (price.id, 1)
        invoice = events["invoice.paid"]["data"]["object"]
        assert (invoice["subscription"], invoice["paid"]) == (subscription["id"], True)
        assert "parent" not in invoice
        line = invoice["lines"]["data"][0]
        assert (line["type"], line["price"], line["proration"]) == ("subscription", price.id, False)

        fresh.control("deliveries", {"outdate": 0.0})
        fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
        wait(fresh)
        newest = pinned.deliveries[-1].event
        assert (newest["api_version"], newest["data"]["object"]["paid"]) == ("2024-06-20", True)
        assert {event["api_version"] for event in fresh.events()} == {"2026-10-28.endive"}
