"""The API killed while it records: whatever was acknowledged is a row, and retries count nothing twice."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.stack.ports import choose_port
from billing_worker.stack.readiness import wait_until_ready
from tests.integration.http_api.conftest import KEY

SENDERS = 4
BATCH = 50


@contextmanager
def running_api(folder: Path, database_url: str, redis_url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    told = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "BILLING_API_PORT": str(port)}
    told |= {"BILLING_API_KEYS": KEY, "NSELF_HOME": str(folder), "NSELF_ENV_FILE": str(folder / ".env")}
    with (folder / "api.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "billing_worker.http_api"],
            env=inherited | told,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_ready(
            "the API",
            lambda: None if request(port, "GET", "/healthz") == 200 else "not there",
            timeout_seconds=60,
            is_alive=lambda: process.poll() is None,
        )
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def request(port: int, method: str, path: str, body: object = None) -> int:
    """Return the answer's status, 0 for none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, json.dumps(body), {"Authorization": f"Bearer {KEY}"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def batch(sender: int, number: int) -> list[dict[str, object]]:
    return [
        {"user": f"u{sender}", "metric": "api_calls", "value": 1, "idempotency_key": f"{sender}-{number}-{index}"}
        for index in range(BATCH)
    ]


def test_kill_9_under_load_loses_nothing_acknowledged_and_doubles_nothing(
    tmp_path: Path, database_url: str, redis_url: str, session: Session
) -> None:
    port = choose_port()
    sent: list[int] = [0] * SENDERS
    acknowledged: list[int] = [0] * SENDERS
    enough = threading.Event()

    def send(sender: int) -> None:
        while True:
            sent[sender] += 1
            if request(port, "POST", "/v1/usage", batch(sender, sent[sender])) != 200:
                return
            acknowledged[sender] = sent[sender]
            if sum(acknowledged) >= 20:
                enough.set()

    with running_api(tmp_path, database_url, redis_url, port) as process:
        threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
        for thread in threads:
            thread.start()
        assert enough.wait(timeout=60)
        os.killpg(process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join(timeout=60)
    count = "SELECT count(*), count(DISTINCT idempotency_key) FROM billing_usage"
    rows, different = session.execute(text(count)).one()
    session.rollback()
    assert rows == different
    assert BATCH * sum(acknowledged) <= rows <= BATCH * sum(sent)
    with running_api(tmp_path, database_url, redis_url, port):
        again = [request(port, "POST", "/v1/usage", batch(sender, sent[sender])) for sender in range(SENDERS)]
        everything = [
            request(port, "POST", "/v1/usage", batch(sender, number))
            for sender in range(SENDERS)
            for number in range(1, 4)
        ]
        assert request(port, "POST", "/v1/quota/check", {"user": "u1", "metric": "api_calls"}) == 200
    assert {*again, *everything} == {200}
    assert session.execute(text(count)).one() == (BATCH * sum(sent), BATCH * sum(sent))
    batches = "SELECT sum(record_count) FROM billing_usage_batches"
    assert session.execute(text(batches)).scalar_one() == BATCH * sum(sent)
