"""A sandbox of a test's own, its control over HTTP, and the way its events take into a database."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import requests
from sqlalchemy import Engine

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.events import Reactions
from billing_worker.runtime.settings import Settings
from billing_worker.sandbox.core.world import World
from billing_worker.sandbox.engine.cycles import DUTIES
from billing_worker.sandbox.operations import test_clocks
from billing_worker.sandbox.operations.further import FURTHER_DUTIES
from billing_worker.sandbox.server import SandboxServer
from billing_worker.stripe_gateway.client import StripeGateway
from tests.support.deliveries import drain, store

KEY = "sk_test_0123456789abcdef"


class Sandbox:
    """One running sandbox; `api` speaks Stripe's API without any of our code in between."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def control(self, path: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        method = "GET" if given is None else "POST"
        answer = self._session.request(method, f"{self.url}/_sandbox/{path}", json=given, timeout=60)
        answer.raise_for_status()
        return dict(answer.json())

    def api(self, method: str, path: str, **params: Any) -> dict[str, Any]:
        form = dict(_flat(params))
        where = {"params": form} if method == "GET" else {"data": form}
        answer = self._session.request(method, f"{self.url}/v1/{path}", auth=(KEY, ""), timeout=30, **where)  # type: ignore[arg-type]  # one of two keywords
        body = dict(answer.json())
        if not answer.ok:
            raise AssertionError(f"{method} {path}: {body}")
        return body

    def listed(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Read every object of a list, oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.api("GET", path, limit=100, **params, **({"starting_after": found[-1]["id"]} if found else {}))
            found.extend(page["data"])
            if not page["has_more"]:
                return found[::-1]

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.control("clock")["now"], tz=UTC)

    def advance(self, *, days: float = 0, hours: float = 0) -> datetime:
        self.control("clock", {"advance_seconds": int(days * 86_400 + hours * 3600)})
        return self.now()

    def paying_customer(self, method: str = "pm_card_visa", **fields: Any) -> str:
        customer = self.api("POST", "customers", **fields)
        self.use_method(customer["id"], method)
        return str(customer["id"])

    def use_method(self, customer_id: str, method: str) -> None:
        # Cards go bad after they were attached; Stripe's test cards that decline are refused at once.
        self.control("settings", {"remembers_declining_cards": True})
        attached = self.api("POST", f"payment_methods/{method}/attach", customer=customer_id)
        settings = {"default_payment_method": attached["id"]}
        self.api("POST", f"customers/{customer_id}", invoice_settings=settings)

    def monthly_price(self, amount_minor: int = 1000) -> str:
        product = self.api("POST", "products", name="Plan")
        recurring = {"interval": "month"}
        price = self.api(
            "POST", "prices", product=product["id"], currency="usd", unit_amount=amount_minor, recurring=recurring
        )
        return str(price["id"])

    def subscribe(self, customer_id: str, price_id: str) -> dict[str, Any]:
        return self.api("POST", "subscriptions", customer=customer_id, items=[{"price": price_id}])


@contextmanager
def run_sandbox() -> Iterator[Sandbox]:
    """Serve a sandbox out of this process, over HTTP as one of its own would, and stop it at the end."""
    world = World(DUTIES | test_clocks.DUTIES | FURTHER_DUTIES)
    server = SandboxServer(("127.0.0.1", 0), world)
    world.start()
    serving = threading.Thread(target=server.serve)
    serving.start()
    sandbox = Sandbox(f"http://127.0.0.1:{server.server_port}")
    try:
        yield sandbox
    finally:
        sandbox.close()
        server.stop()
        serving.join()
        world.stop()


def gateway_to(sandbox: Sandbox, settings: Settings, **changes: Any) -> StripeGateway:
    """Build our gateway to a sandbox; failed reads are repeated without waiting."""
    return StripeGateway(
        settings.model_copy(update={"stripe_api_base": sandbox.url, **changes}), sleep=lambda _seconds: None
    )


def bring_events(
    sandbox: Sandbox, engine: Engine, unit_of_work: UnitOfWork, reactions: Reactions, *, known: set[str]
) -> int:
    """Store every event of the sandbox that is not `known` yet, drain the lanes, and count the new ones."""
    new = [event for event in sandbox.listed("events") if event["id"] not in known]
    known.update(event["id"] for event in new)
    store(engine, new, unit_of_work.now())
    drain(unit_of_work, reactions)
    return len(new)


def follow(clock: FixedClock, sandbox: Sandbox) -> None:
    """Set our clock to the sandbox's."""
    clock.advance(sandbox.now() - clock.now())


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{index}]")
    else:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)
