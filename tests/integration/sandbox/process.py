"""The sandbox as tests drive it: a process of its own, real HTTP, the SDK's client, a receiver that notes all."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
import stripe

from billing_worker.sandbox.core.world import World
from billing_worker.sandbox.engine.cycles import DUTIES
from billing_worker.sandbox.operations import test_clocks
from billing_worker.sandbox.operations.further import FURTHER_DUTIES
from billing_worker.sandbox.server import SandboxServer

KEY = "sk_test_0123456789"
SECRET = "whsec_preset"
_START_SECONDS = 60


class Sandbox:
    """One running sandbox process."""

    def __init__(self, state_dir: Path | None = None, *, webhook_url: str | None = None) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
        if state_dir is not None:
            environment["SANDBOX_STATE_DIR"] = str(state_dir)
        if webhook_url is not None:
            environment |= {"SANDBOX_WEBHOOK_URL": webhook_url, "SANDBOX_WEBHOOK_SECRET": SECRET}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "billing_worker.sandbox", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        self.log: list[str] = []
        self._ports: list[int] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(_START_SECONDS) or not self._ports:
            self.process.kill()
            raise RuntimeError("the sandbox did not start:\n" + "".join(self.log))
        self._connect(self._ports[0])

    def _connect(self, port: int) -> None:
        self.base: str = f"http://127.0.0.1:{port}"
        self.http: requests.Session = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {KEY}"
        stripe.enable_telemetry = False
        self.client: stripe.StripeClient = stripe.StripeClient(
            KEY,
            base_addresses={"api": self.base, "meter_events": self.base},
            http_client=stripe.RequestsClient(timeout=60, session=self.http),
            max_network_retries=0,
        )

    @property
    def v1(self) -> Any:
        return self.client.v1

    def control(self, path: str, given: Mapping[str, Any] | None = None, *, status: int = 200) -> dict[str, Any]:
        url = f"{self.base}/_sandbox/{path}"
        answer = self.http.get(url) if given is None else self.http.post(url, json=given)
        assert answer.status_code == status, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def now(self) -> int:
        return int(self.control("clock")["now"])

    def advance(self, *, days: float = 0, seconds: int = 0) -> int:
        return int(self.control("clock", {"advance_seconds": int(days * 86_400) + seconds})["now"])

    def move_to(self, instant: int) -> None:
        self.control("clock", {"to": instant})

    def raw(self, method: str, path: str, **given: Any) -> requests.Response:
        return self.http.request(method, f"{self.base}{path}", **given)

    def events(self, **filters: Any) -> list[dict[str, Any]]:
        """All events, oldest first, as plain JSON."""
        found: list[dict[str, Any]] = []
        params = {"limit": 100, **filters}
        while True:
            answer = self.raw("GET", "/v1/events", params=params).json()
            found += answer["data"]
            if not answer["has_more"]:
                return found[::-1]
            params["starting_after"] = found[-1]["id"]

    def events_of(self, object_id: str) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["data"]["object"].get("id") == object_id]

    def types_of(self, object_id: str) -> list[str]:
        return [event["type"] for event in self.events_of(object_id)]

    def payer(self, card: str = "pm_card_visa", **fields: Any) -> Any:
        """A customer with a default card."""
        customer = self.v1.customers.create({"email": "payer@example.com", "name": "Payer", **fields})
        method = self.v1.payment_methods.attach(card, {"customer": customer.id})
        settings = {"default_payment_method": method.id}
        return self.v1.customers.update(customer.id, {"invoice_settings": settings})

    def price(self, amount: int = 1000, interval: str = "month", **fields: Any) -> Any:
        given = {
            "unit_amount": amount,
            "currency": "usd",
            "recurring": {"interval": interval},
            "product_data": {"name": f"Plan {amount}"},
            **fields,
        }
        return self.v1.prices.create(given)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def kill(self) -> None:
        self.process.kill()
        self._ended()

    def _ended(self) -> int:
        code = self.process.wait(30)
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.http.close()
        return code

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.log.append(line)
            if found := re.search(r"listening on \S+:(\d+) as", line):
                self._ports.append(int(found[1]))
                self._listening.set()
        self._listening.set()


class _Lines(logging.Handler):
    """Keeps what the sandbox logs, as its process would print it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)}\n")


class Hosted(Sandbox):
    """A sandbox of this process: the same server over the same HTTP, a hundred times as quickly started."""

    def __init__(self) -> None:
        self.log = []
        self._lines = _Lines(self.log)
        logger = logging.getLogger("sandbox")
        logger.setLevel(logging.INFO)
        logger.addHandler(self._lines)
        self._world = World(DUTIES | test_clocks.DUTIES | FURTHER_DUTIES)
        self._server = SandboxServer(("127.0.0.1", 0), self._world)
        self._world.start()
        self._thread = threading.Thread(target=self._server.serve)
        self._thread.start()
        self._connect(self._server.server_port)

    def stop(self) -> int:
        if self._thread.is_alive():
            self.http.close()
            self._server.stop()
            self._thread.join()
            self._world.stop()
            logging.getLogger("sandbox").removeHandler(self._lines)
        return 0


@contextmanager
def hosted() -> Iterator[Hosted]:
    sandbox = Hosted()
    try:
        yield sandbox
    finally:
        sandbox.stop()


@contextmanager
def running(state_dir: Path | None = None, *, webhook_url: str | None = None) -> Iterator[Sandbox]:
    sandbox = Sandbox(state_dir, webhook_url=webhook_url)
    try:
        yield sandbox
    finally:
        if sandbox.process.poll() is None:
            sandbox.stop()


@dataclass
class Delivery:
    """One POST that arrived."""

    body: bytes
    signature: str
    path: str

    @property
    def event(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass
class Receiver:
    """An endpoint that notes every delivery and answers with the codes it is told, then with 200."""

    answers: list[int] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.deliveries) >= count, 60)

    def ids(self) -> list[str]:
        return [delivery.event["id"] for delivery in self.deliveries]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A sandbox that is killed breaks its connections: that is the test, not a failure."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            with lock:
                receiver.connections += 1

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:  # the sender was killed half-way
                self.close_connection = True
                return
            with receiver.arrived:
                receiver.deliveries.append(Delivery(body, self.headers["Stripe-Signature"], self.path))
                status = receiver.answers.pop(0) if receiver.answers else 200
                receiver.arrived.notify_all()
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = _Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hooks?from=sandbox"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
