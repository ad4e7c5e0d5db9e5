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


def test_a_queue_is_woken_once_for_all_its_lanes_until_its_mark_is_cleared(redis: Redis, redis_url: str) -> None:
    waker = Waker(redis_url, redis, webhook_queues=4)
    assert [waker.wake_lane(lane) for lane in (5, 5, 9)] == [True, False, False]
    assert waker.wake_lanes({9: "evt_1", 6: "evt_2", 10: "evt_3"}) == {9: False, 6: True, 10: False}
    waker.clear_mark(9)
    assert [waker.wake_lane(5), waker.wake_lane(6)] == [True, False]
    waker.hold_mark(3)
    assert waker.wake_lane(7) is False
    assert [redis.llen(f"webhooks.{number}") for number in range(4)] == [0, 2, 1, 0]
