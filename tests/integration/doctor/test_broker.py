"""The broker asked for its messages and its workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from billing_worker.stack.readiness import wait_until_ready
from billing_worker.worker import broker
from billing_worker.worker.broker import BrokerUnavailableError, count_messages, list_consumed_queues
from billing_worker.worker.wake import Waker

NOWHERE = "redis://127.0.0.1:1/0"


def test_messages_are_counted_by_queue_and_left_there(redis_url: str, redis: Redis) -> None:
    waker = Waker(redis_url, redis, webhook_queues=4)
    for _ in range(3):
        assert waker.send("usage.aggregate", queue="usage", kwargs={})
    wanted = {"usage": 3, "mail": 0}
    assert count_messages(redis_url, list(wanted)) == wanted
    assert count_messages(redis_url, list(wanted)) == wanted


def test_a_broker_that_is_away_is_told_at_once() -> None:
    for ask in (lambda: count_messages(NOWHERE, ["usage"]), lambda: list_consumed_queues(NOWHERE)):
        with pytest.raises(BrokerUnavailableError, match="does not answer"):
            ask()


def test_workers_say_what_they_consume_and_nothing_is_left_in_redis(
    redis_url: str, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "ANSWER_SECONDS", 0.2)
    assert list_consumed_queues(redis_url) == {}
    kept = set(redis.keys())
    command = [
        sys.executable,
        "-m",
        "celery",
        "-b",
        redis_url,
        "worker",
        "-P",
        "solo",
        "-Q",
        "mail,usage",
        "-n",
        "one@x",
    ]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        wait_until_ready(
            "the worker",
            lambda: None if list_consumed_queues(redis_url) else "is silent",
            timeout_seconds=60,
            is_alive=lambda: process.poll() is None,
        )
        assert list_consumed_queues(redis_url) == {"mail": ["one@x"], "usage": ["one@x"]}
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert not [key for key in set(redis.keys()) - kept if b"reply" in key]
