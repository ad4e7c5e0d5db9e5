"""The receiver as its users meet it: a process of its own, spoken to over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from billing_worker.stack.ports import choose_port
from billing_worker.stack.readiness import wait_until_ready
from billing_worker.stripe_gateway.signature import sign_payload

SECRET = "whsec_test_secret"
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Receiver:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def post(self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/webhooks/stripe") -> Answer:
        """Send a delivery, signed now unless headers are given."""
        if headers is None:
            headers = signed(body)
        return self.request("POST", path, body, headers)

    def get(self, path: str) -> Answer:
        return self.request("GET", path, None, {})

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body, {"Connection": "close", **headers})
            response = connection.getresponse()
            return Answer(response.status, json.loads(response.read()))
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """Read one figure by its full name with labels; 0 when it has not been counted yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        finally:
            connection.close()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def wait_for_metric(self, name: str, value: float) -> None:
        wait_until_ready(
            name,
            lambda: None if (found := self.metric(name)) == value else f"is {found}, not {value}",
            timeout_seconds=PATIENCE_SECONDS,
        )

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

    def awaited_line(self, event: str, **fields: object) -> dict[str, Any]:
        """Return the line of a delivery, which is written after its answer."""
        found: list[dict[str, Any]] = []

        def look() -> str | None:
            found[:] = [line for line in self.logged(event) if fields.items() <= line.items()]
            return None if found else f"no line {event} with {fields}"

        wait_until_ready("the log", look, timeout_seconds=PATIENCE_SECONDS)
        return found[-1]


def signed(body: bytes, *, secret: str = SECRET, age_seconds: int = 0) -> dict[str, str]:
    return {
        "Stripe-Signature": sign_payload(body, secret, int(time.time()) - age_seconds),
        "Content-Type": "application/json; charset=utf-8",
    }


def event(event_id: str, *, object_id: str = "cus_1", **changes: Any) -> bytes:
    return json.dumps(
        {
            "id": event_id,
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": 1_772_000_000,
            "livemode": False,
            "type": "customer.updated",
            "data": {"object": {"id": object_id, "object": "customer"}},
            **changes,
        }
    ).encode()


def receiver_environment(folder: Path, database_url: str, redis_url: str, **changes: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {
        **inherited,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "NSELF_HOME": str(folder / ".nself"),
        "NSELF_ENV_FILE": str(folder / ".env"),
        **changes,
    }


@contextmanager
def running_receiver(folder: Path, database_url: str, redis_url: str, **changes: str) -> Iterator[Receiver]:
    """Start `python -m webhook_receiver` on a free port, yield it when it answers, kill what is left of it."""
    port = choose_port()
    log = folder / f"receiver-{port}.log"
    environment = receiver_environment(folder, database_url, redis_url, BILLING_RECEIVER_PORT=str(port), **changes)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "webhook_receiver"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    receiver = Receiver(process, port, log)
    try:
        wait_until_ready(
            "the receiver",
            lambda: _complaint(receiver),
            timeout_seconds=PATIENCE_SECONDS,
            is_alive=lambda: process.poll() is None,
        )
        yield receiver
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _complaint(receiver: Receiver) -> str | None:
    try:
        return None if receiver.get("/healthz").status == 200 else "unhealthy"
    except OSError as error:
        return str(error)


def rows(database_url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in cursor.fetchall()]
    finally:
        connection.close()
