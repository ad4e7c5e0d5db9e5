"""The sandbox without a process: its API called directly, its clocks moved at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from billing_worker.sandbox.api import Api, Request
from billing_worker.sandbox.core.world import World
from billing_worker.sandbox.engine.cycles import DUTIES
from billing_worker.sandbox.operations import test_clocks
from billing_worker.sandbox.operations.further import FURTHER_DUTIES

Json = dict[str, Any]
HEADERS = {"authorization": "Bearer sk_test_0123456789", "stripe-version": "2026-10-28.endive"}
FROZEN = 1_804_291_200
"""6 March 2027, 00:00 UTC: in the future, so that no test clock starts in the account's past."""


class RefusedError(Exception):
    """The API answered with an error."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__(f"{status} {error}")
        self.status = status
        self.error = error


class Desk:
    """One sandbox."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._api = Api(world)

    def call(self, method: str, path: str, params: Mapping[str, Any]) -> Json:
        encoded = urlencode(list(_flat(params)))
        query, body = ("", encoded.encode()) if method == "POST" else (encoded, b"")
        response = self._api.answer(Request(method, f"/v1/{path}", query, HEADERS, body))
        document: Json = json.loads(response.body)
        if response.status != 200:
            raise RefusedError(response.status, document["error"])
        return document

    def post(self, path: str, **params: Any) -> Json:
        return self.call("POST", path, params)

    def get(self, path: str, **params: Any) -> Json:
        return self.call("GET", path, params)

    def delete(self, path: str, **params: Any) -> Json:
        return self.call("DELETE", path, params)

    def listed(self, path: str, **params: Any) -> list[Json]:
        """Everything a list has, oldest first."""
        found: list[Json] = []
        while True:
            after = {"starting_after": found[-1]["id"]} if found else {}
            page = self.get(path, limit=100, **params, **after)
            found += page["data"]
            if not page["has_more"]:
                return found[::-1]

    def refusal(self, method: str, path: str, **params: Any) -> Json:
        """The error of a call that must be refused, with its status."""
        try:
            self.call(method, path, params)
        except RefusedError as refused:
            return refused.error | {"status": refused.status}
        raise AssertionError(f"{method} {path} was not refused")

    def clock(self) -> str:
        return str(self.post("test_helpers/test_clocks", frozen_time=FROZEN)["id"])

    def advance(self, clock: str, to: int) -> None:
        self.post(f"test_helpers/test_clocks/{clock}/advance", frozen_time=to)
        assert self.world.wait_until_clocks_stand(30)
        assert self.get(f"test_helpers/test_clocks/{clock}")["status"] == "ready"

    def payer(self, card: str = "pm_card_visa", **fields: Any) -> str:
        customer = self.post("customers", **fields)["id"]
        method = self.post(f"payment_methods/{card}/attach", customer=customer)["id"]
        self.post(f"customers/{customer}", invoice_settings={"default_payment_method": method})
        return str(customer)

    def price(self, amount: int = 1000, *, name: str = "Plan", interval: str | None = "month", **fields: Any) -> str:
        given: Json = {"unit_amount": amount, "currency": "usd", "product_data": {"name": name}}
        if interval is not None:
            given["recurring"] = {"interval": interval}
        return str(self.post("prices", **given | fields)["id"])

    def invoices(self, subscription: str) -> list[Json]:
        return self.listed("invoices", subscription=subscription)


@contextmanager
def opened() -> Iterator[Desk]:
    world = World(DUTIES | test_clocks.DUTIES | FURTHER_DUTIES)
    world.start()
    try:
        yield Desk(world)
    finally:
        world.stop()


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{index}]")
    elif value is not None:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
