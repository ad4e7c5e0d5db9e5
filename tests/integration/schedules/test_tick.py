from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.app.container import build_container
from billing_worker.app.tick import tick
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import FixedClock
from billing_worker.runtime.settings import Settings
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.wake_probes import ProbesOutcome, wake_probes
from schedules import JOBS


@pytest.fixture
def container(settings: Settings, unit_of_work: UnitOfWork, clock: FixedClock, session: Session) -> Iterator[Container]:
    session.execute(text("INSERT INTO billing_installation VALUES (1, 'acct_t', false, 'sandbox', clock_timestamp())"))
    session.commit()
    built = build_container(settings)
    yield replace(built, unit_of_work=unit_of_work, clock=clock)
    built.engine.dispose()
    built.redis.close()


def messages(redis: Redis) -> Counter[str]:
    """Count the messages of each queue that some job uses."""
    lengths = {queue: int(redis.llen(queue)) for queue in {job.queue for job in JOBS.values()}}
    return Counter({queue: length for queue, length in lengths.items() if length})


def test_a_day_of_slots_wakes_each_job_once_on_its_queue(container: Container, clock: FixedClock, redis: Redis) -> None:
    tick(container)
    redis.flushdb()
    clock.advance(timedelta(days=1))
    first = dict(tick(container) or {})
    assert (first["jobs"], first["broken"]) == (len(JOBS), 0)
    assert messages(redis) == Counter(job.queue for job in JOBS.values())
    again = dict(tick(container) or {})
    assert (again["inserted"], again["jobs"], again["broken"]) == (0, 0, 0)
    assert messages(redis) == Counter(job.queue for job in JOBS.values())


def test_a_tick_without_redis_still_inserts_the_runs(container: Container, clock: FixedClock, session: Session) -> None:
    tick(container)
    clock.advance(timedelta(days=1))
    away = Redis.from_url("redis://127.0.0.1:1/0")
    tick(replace(container, redis=away))
    waiting = session.execute(text("SELECT count(DISTINCT job) FROM billing_schedule_runs WHERE status = 'due'"))
    assert waiting.scalar_one() == len(JOBS)


def test_a_broken_probe_takes_no_other_with_it(unit_of_work: UnitOfWork) -> None:
    def broken(session: Session, _now: datetime) -> int:
        return int(session.execute(text("SELECT 1 / 0")).scalar_one())

    def count(number: int) -> Probe:
        return Probe(f"rows_{number}", "slice.drain", "usage", lambda _session, _now: number)

    woken: list[str] = []

    def wake(probe: Probe) -> bool:
        woken.append(probe.name)
        return True

    probes = [count(1), Probe("broken", "slice.drain", "usage", broken), count(0), count(7)]
    outcome = wake_probes(unit_of_work, probes=probes, now=unit_of_work.now(), wake=wake)
    assert outcome == ProbesOutcome(woken=2, broken=1)
    assert woken == ["rows_1", "rows_7"]
