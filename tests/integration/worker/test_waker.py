from __future__ import annotations

from pathlib import Path

from redis import Redis

from billing_worker.worker.wake import Waker
from tests.integration.worker.processes import OwnRedis, own_redis


def queued(broker: OwnRedis, queue: str) -> int:
    client = Redis.from_url(broker.url)
    try:
        return int(client.llen(queue))
    finally:
        client.close()


def test_a_wake_up_is_lost_while_the_broker_is_away_and_the_next_one_is_not(tmp_path: Path) -> None:
    with own_redis(tmp_path) as broker:
        waker = Waker(broker.url, Redis.from_url(broker.url), webhook_queues=4)
        assert waker.send("inbox.drain_lane", queue="webhooks.0", kwargs={"lane": 0}) is True
        for _ in range(2):
            broker.kill()
            assert [waker.send("inbox.drain_lane", queue="webhooks.0", kwargs={"lane": 0}) for _ in "ab"] == [False] * 2
            broker.start()
            before = queued(broker, "webhooks.0")
            assert waker.send("inbox.drain_lane", queue="webhooks.0", kwargs={"lane": 0}) is True
            assert queued(broker, "webhooks.0") == before + 1


def test_a_dropped_connection_costs_one_wake_up_at_most(tmp_path: Path) -> None:
    with own_redis(tmp_path) as broker:
        waker = Waker(broker.url, Redis.from_url(broker.url), webhook_queues=4)
        waker.send("inbox.drain_lane", queue="webhooks.0", kwargs={"lane": 0})
        broker.drop_connections()
        sent = [waker.send("inbox.drain_lane", queue="webhooks.0", kwargs={"lane": 0}) for _ in range(4)]
        assert sent[1:] == [True] * 3
        assert queued(broker, "webhooks.0") == 1 + sum(sent)


def test_lanes_are_woken_once_until_their_mark_is_cleared(redis: Redis, redis_url: str) -> None:
    waker = Waker(redis_url, redis, webhook_queues=4)
    assert [waker.wake_lane(5) for _ in range(3)] == [True, False, False]
    waker.clear_mark(5)
    assert [waker.wake_lane(5), waker.wake_lane(6)] == [True, True]
    assert (redis.llen("webhooks.1"), redis.llen("webhooks.2")) == (2, 1)
