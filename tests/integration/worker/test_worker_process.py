from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from billing_worker.app.celery_factory import EXIT_REFUSED
from billing_worker.runtime.settings import Settings
from billing_worker.worker.wake import Delivery, Waker
from tests.integration.worker.processes import GATE, PATIENCE_SECONDS, RIG, CeleryProcess, Launcher, own_redis, wait_for


def notes(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT words FROM rig_notes ORDER BY id")).scalars())


@contextmanager
def closed_gate(engine: Engine) -> Iterator[None]:
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:gate)"), {"gate": GATE})
        yield


def waiting_at_gate(engine: Engine) -> list[int]:
    """Return the database's processes that wait for the gate."""
    with engine.connect() as connection:
        statement = text("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = :gate AND NOT granted")
        return list(connection.execute(statement, {"gate": GATE}).scalars())


def unanswered(redis: Redis, queue: str = "maintenance") -> tuple[int, int]:
    """Count the messages of a queue and those taken and not yet acknowledged."""
    return redis.llen(queue), redis.hlen("unacked")


@pytest.fixture
def waker(settings: Settings, redis: Redis) -> Waker:
    return Waker(settings.broker_url, redis, webhook_queues=4)


def send(waker: Waker, task: str, delivery: Delivery | None = None, **kwargs: object) -> None:
    assert waker.send(task, queue="maintenance", kwargs=kwargs, delivery=delivery or Delivery())


def test_a_message_of_a_newer_release_runs_with_the_arguments_this_one_knows(
    launcher: Launcher, engine: Engine, waker: Waker, redis: Redis
) -> None:
    worker = launcher.worker("maintenance")
    send(waker, "rig.note", words="ab", times=2, colour="unknown here")
    wait_for(lambda: notes(engine) == ["abab"], what="the note", log=worker.log)
    wait_for(lambda: unanswered(redis) == (0, 0), what="the acknowledgement")


def test_a_failed_task_is_acknowledged_and_never_retried_by_the_broker(
    launcher: Launcher, engine: Engine, waker: Waker, redis: Redis
) -> None:
    worker = launcher.worker("maintenance")
    ways = ["retryable", "terminal", "bug", "unpicklable"]
    for how in ways:
        send(waker, "rig.fail", how=how)
    send(waker, "rig.note", words="the next one")
    wait_for(lambda: "the next one" in notes(engine), what="the next task", log=worker.log)
    wait_for(lambda: unanswered(redis) == (0, 0), what="the acknowledgement")
    assert notes(engine) == [*(f"failing {how}" for how in ways), "the next one"]
    lines = worker.log.read_text()
    assert [lines.count(f'"event": "{event}"') for event in ("task_retryable", "task_refused", "task_bug")] == [2, 1, 1]


def test_an_expired_message_is_dropped_unread(launcher: Launcher, engine: Engine, waker: Waker, redis: Redis) -> None:
    send(waker, "rig.note", Delivery(expires_after=timedelta(seconds=-1)), words="too late")
    send(waker, "rig.note", Delivery(expires_after=timedelta(seconds=300)), words="in time")
    worker = launcher.worker("maintenance")
    wait_for(lambda: notes(engine), what="the second note", log=worker.log)
    wait_for(lambda: unanswered(redis) == (0, 0), what="the acknowledgement")
    assert notes(engine) == ["in time"]


def test_the_limit_in_a_message_ends_a_task_that_hangs(
    launcher: Launcher, engine: Engine, waker: Waker, redis: Redis
) -> None:
    worker = launcher.worker("maintenance")
    with closed_gate(engine):
        send(waker, "rig.pass_gate", Delivery(limits_seconds=(1, 2)))
        wait_for(lambda: waiting_at_gate(engine), what="the task at the gate", log=worker.log)
        send(waker, "rig.note", words="after the limit")
        wait_for(lambda: notes(engine), what="the next task", log=worker.log)
    wait_for(lambda: unanswered(redis) == (0, 0), what="the acknowledgement")
    assert notes(engine) == ["after the limit"]


def test_the_message_of_a_killed_child_comes_back_and_is_done_once(
    launcher: Launcher, engine: Engine, waker: Waker, redis: Redis
) -> None:
    worker = launcher.worker("maintenance")
    with closed_gate(engine):
        send(waker, "rig.pass_gate")
        wait_for(lambda: waiting_at_gate(engine), what="the task at the gate", log=worker.log)
        (first,) = waiting_at_gate(engine)
        (child,) = worker.children()
        os.kill(child, signal.SIGKILL)
        with engine.begin() as connection:  # the dead child's statement still queues at the gate
            connection.execute(text("SELECT pg_terminate_backend(:first)"), {"first": first})
        wait_for(lambda: waiting_at_gate(engine) not in ([], [first]), what="the task back at the gate", log=worker.log)
    wait_for(lambda: unanswered(redis) == (0, 0), what="the acknowledgement", log=worker.log)
    assert notes(engine) == ["passed "]


def test_a_worker_survives_broker_connections_dropped_and_a_broker_killed_while_it_works(
    environment: dict[str, str], engine: Engine, tmp_path: Path
) -> None:
    with own_redis(tmp_path) as broker:
        launcher = Launcher({**environment, "REDIS_URL": broker.url}, tmp_path)
        waker = Waker(broker.url, Redis.from_url(broker.url), webhook_queues=4)
        try:
            worker = launcher.worker("maintenance", concurrency=4)  # each drop gives the task at the gate out once more
            with closed_gate(engine):
                send(waker, "rig.pass_gate")
                wait_for(lambda: waiting_at_gate(engine), what="the task at the gate", log=worker.log)
                assert broker.drop_connections() > 0
                wait_for(lambda: waker.send("rig.note", queue="maintenance", kwargs={"words": "a"}), what="a send")
                wait_for(lambda: "a" in notes(engine), what="work after the drop", log=worker.log)
                broker.kill()
                broker.start()
                wait_for(lambda: waker.send("rig.note", queue="maintenance", kwargs={"words": "b"}), what="a send")
                wait_for(lambda: "b" in notes(engine), what="work after the restart", log=worker.log)
            wait_for(lambda: "passed " in notes(engine), what="the task at the gate", log=worker.log)
            assert worker.process.poll() is None
        finally:
            launcher.stop()


def test_a_worker_refuses_a_database_of_another_installation(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE billing_installation SET livemode = true"))
    arguments = ["worker", "--pool", "prefork", "--concurrency", "1", "-Q", "maintenance"]
    worker = CeleryProcess(arguments, app=RIG, environment=environment, log=tmp_path / "refused.log")
    assert worker.process.wait(PATIENCE_SECONDS) == EXIT_REFUSED
    assert worker.said("this database holds account acct_rig in live mode")
