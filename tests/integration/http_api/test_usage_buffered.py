"""The buffered way in over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.buffer import UsageBuffer
from billing_worker.domains.usage.services.flush_buffer import flush_buffer
from tests.integration.http_api.conftest import Api, ApiMaker

ONE: dict[str, Any] = {"user": "user123", "metric": "api_calls", "value": 2, "idempotency_key": "k1"}
QUEUE = "usage"


def batch(*keys: str) -> list[dict[str, Any]]:
    return [ONE | {"idempotency_key": key} for key in keys]


def keys(session: Session) -> list[str]:
    found = session.execute(text("SELECT idempotency_key FROM billing_usage ORDER BY idempotency_key"))
    return [row[0] for row in found]


def flush(api: Api) -> None:
    buffer = UsageBuffer(api.container.redis, capacity=10)
    flush_buffer(api.container.unit_of_work, buffer, metrics=api.container.catalog)


@pytest.fixture
def buffered(make_api: ApiMaker) -> Api:
    return make_api(usage_enable_buffer=True, usage_buffer_size=4, usage_allow_keyless=True)


def test_records_are_buffered_then_counted_once(buffered: Api, redis: Redis, session: Session) -> None:
    assert [(answer.status, answer.body["status"]) for answer in (buffered.post(ONE), buffered.post(ONE))] == [
        (202, "buffered"),
        (202, "buffered"),
    ]
    assert keys(session) == []
    assert redis.llen(QUEUE) == 1, "the collector is woken, once for both"
    flush(buffered)
    assert keys(session) == ["k1"]


def test_what_is_wrong_by_itself_is_told_at_once(buffered: Api, session: Session) -> None:
    answer = buffered.post([ONE, ONE | {"value": 3}, ONE | {"metric": "nothing"}, ONE | {"value": 1.5}])
    assert (answer.status, answer.statuses()) == (207, ["buffered", "refused", "refused", "refused"])
    assert [result["code"] for result in answer.body["results"]] == [202, 409, 422, 422]
    flush(buffered)
    assert keys(session) == ["k1"]


def test_a_full_buffer_says_when_to_come_again(buffered: Api, session: Session) -> None:
    assert buffered.post(batch("a", "b", "c")).status == 202
    full = buffered.post(batch("d", "e"))
    assert (full.status, full.body["reason"], full.headers["Retry-After"]) == (429, "buffer_full", "1")
    assert buffered.post(batch("d")).status == 202
    flush(buffered)
    assert keys(session) == ["a", "b", "c", "d"]


def test_without_redis_records_go_straight_to_postgresql(make_api: ApiMaker, session: Session) -> None:
    api = make_api(usage_enable_buffer=True, redis_url="redis://127.0.0.1:1/0")
    assert [(answer.status, answer.body["status"]) for answer in (api.post(ONE), api.post(ONE))] == [
        (200, "accepted"),
        (200, "duplicate"),
    ]
    assert keys(session) == ["k1"]


def test_a_call_that_redis_took_without_saying_so_counts_once(
    buffered: Api, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of Redis is lost: the same records under the same keys go to PostgreSQL as well."""
    add = UsageBuffer.add

    def lose_the_answer(buffer: UsageBuffer, *given: Any, **named: Any) -> bool:
        add(buffer, *given, **named)
        raise RedisTimeoutError

    bare = {name: value for name, value in ONE.items() if name != "idempotency_key"}
    with monkeypatch.context() as patch:
        patch.setattr(UsageBuffer, "add", lose_the_answer)
        assert buffered.post([ONE, bare]).statuses() == ["accepted", "accepted"]
    flush(buffered)
    assert len(keys(session)) == 2
