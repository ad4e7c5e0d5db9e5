"""The Python client against the real API behind a door that fails on request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from nself_billing_client import (
    RecordRefused,
    Result,
    UsageBatch,
    UsageClient,
    UsageNotRecordedError,
    UsageRefusedError,
)
from nself_billing_client.usage import usage_record
from tests.integration.http_api.conftest import KEY, Api

ClientMaker = Callable[..., UsageClient]


class SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


class Door:
    """Passes requests on to the API, and does first what it was told to."""

    def __init__(self, api: Api) -> None:
        self._app = api.client.application
        self.faults: list[str] = []
        self.requests = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.requests += 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault in {"429", "503"}:
            start_response(f"{fault} Later", [("Retry-After", "3"), ("Content-Length", "0")])
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            return [b""]
        answer = self._app(environ, start_response)
        if fault == "lose the answer":
            b"".join(answer)
            raise ConnectionAbortedError
        return answer


@pytest.fixture
def door(api: Api) -> Door:
    return Door(api)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def connect(door: Door, pauses: list[float]) -> Iterator[ClientMaker]:
    server = make_server("127.0.0.1", 0, door, handler_class=SilentHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    clients: list[UsageClient] = []

    def make(key: str = KEY, *, patience_seconds: float = 60) -> UsageClient:
        address = f"http://127.0.0.1:{server.server_port}"
        clients.append(UsageClient(address, key, patience_seconds=patience_seconds, sleep=pauses.append))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def values(session: Session) -> list[int]:
    return [row[0] for row in session.execute(text("SELECT value FROM billing_usage ORDER BY value"))]


def test_one_record_is_sent_with_a_key_of_its_own(connect: ClientMaker, session: Session) -> None:
    client = connect()
    at = datetime(2026, 2, 1, tzinfo=UTC)
    assert client.record("user123", "api_calls", 2, at=at) == Result("accepted", 200)
    assert client.record("user123", "api_calls", 3, idempotency_key="k").status == "accepted"
    assert client.record("user123", "api_calls", 3, idempotency_key="k").status == "duplicate"
    with pytest.raises(RecordRefused, match="already used for a different record"):
        client.record("user123", "api_calls", 4, idempotency_key="k")
    assert values(session) == [2, 3]


def test_many_records_go_in_batches_that_are_retried_under_the_same_keys(
    connect: ClientMaker, door: Door, pauses: list[float], session: Session
) -> None:
    door.faults = ["lose the answer", "503", "", "429", "lose the answer"]
    results = connect().record_many(usage_record("user123", "api_calls", 1) for _ in range(1001))
    assert len(results) == 1001
    assert {result.status for result in results} == {"accepted", "duplicate"}
    assert len(values(session)) == 1001
    assert door.requests == 7
    assert [pause for pause in pauses if pause >= 3] == [3, 3], "Retry-After is honoured"
    assert all(0.1 <= pause <= 0.4 for pause in pauses if pause < 3)


def test_patience_ends_and_what_is_left_is_handed_back_with_its_keys(
    connect: ClientMaker, door: Door, session: Session
) -> None:
    door.faults = ["", "503"]
    with pytest.raises(UsageNotRecordedError) as raised:
        connect(patience_seconds=1).record_many(usage_record("user123", "api_calls", 1) for _ in range(600))
    assert len(raised.value.records) == 100
    assert {len(record["idempotency_key"]) for record in raised.value.records} == {36}
    assert {result.status for result in connect().record_many(raised.value.records)} == {"accepted"}
    assert len(values(session)) == 600


def test_a_wrong_key_is_not_tried_again(connect: ClientMaker, door: Door) -> None:
    with pytest.raises(UsageRefusedError, match="401 unknown_key"):
        connect("0" * 32).record("user123", "api_calls")
    assert door.requests == 1


def test_a_batch_is_sent_when_full_and_at_its_end_even_after_an_error(
    connect: ClientMaker, door: Door, session: Session
) -> None:
    refused: list[object] = []
    batch = UsageBatch(connect(), on_refused=lambda record, result: refused.append((record["user"], result.reason)))

    def use_and_fail() -> None:
        with batch:
            for _ in range(501):
                batch.record("user123", "api_calls")
            assert door.requests == 1
            batch.record("user7", "nothing")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use_and_fail()
    assert (door.requests, len(values(session)), refused) == (2, 501, [("user7", "unknown_metric")])
