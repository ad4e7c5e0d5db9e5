from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.clock import read_offset, set_offset
from tests.integration.worker.processes import GATE, CeleryProcess, Launcher, own_redis, wait_for

QUEUES = "tick,maintenance"


def done_slots(engine: Engine, job: str) -> list[datetime]:
    statement = text("SELECT due_at FROM billing_schedule_runs WHERE job = :job AND status = 'done' ORDER BY due_at")
    with engine.connect() as connection:
        return [due_at.astimezone(UTC) for due_at in connection.execute(statement, {"job": job}).scalars()]


def noted(engine: Engine) -> Counter[str]:
    with engine.connect() as connection:
        return Counter(connection.execute(text("SELECT words FROM rig_notes")).scalars())


def leader(engine: Engine) -> str | None:
    statement = text("SELECT holder FROM billing_leases WHERE name = 'beat' AND expires_at > clock_timestamp()")
    with engine.connect() as connection:
        return connection.execute(statement).scalar_one_or_none()


def move_clock(engine: Engine, by: timedelta) -> None:
    with Session(engine) as session, session.begin():
        set_offset(session, read_offset(session) + by)


def assert_each_slot_once(engine: Engine, job: str, every: timedelta) -> None:
    slots = done_slots(engine, job)
    assert slots == [slots[0] + number * every for number in range(len(slots))]
    notes = noted(engine)
    assert [notes[slot.isoformat()] for slot in slots] == [1] * len(slots)


def wait_for_slots(engine: Engine, count: int, *, job: str = "rig_second", log: Path | None = None) -> None:
    start = len(done_slots(engine, job))
    wait_for(lambda: len(done_slots(engine, job)) >= start + count, what=f"{count} more runs of {job}", log=log)


def test_two_beats_run_each_slot_once_through_a_dead_leader_an_empty_redis_and_a_jump_of_the_clock(
    launcher: Launcher, engine: Engine, redis: Redis
) -> None:
    worker = launcher.worker(QUEUES)
    beats = {str(beat.process.pid): beat for beat in (launcher.beat(), launcher.beat())}
    wait_for_slots(engine, 2, log=worker.log)

    redis.flushdb()
    wait_for_slots(engine, 2, log=worker.log)

    first = leader(engine)
    assert first is not None
    beats.pop(first.split(":")[-2]).kill()
    (other,) = beats.values()
    wait_for(lambda: other.said("beat_leads"), what="the other Beat to lead", log=other.log)
    assert leader(engine) != first
    wait_for_slots(engine, 2, log=worker.log)

    hours = len(done_slots(engine, "rig_hour"))
    move_clock(engine, timedelta(hours=3))
    wait_for(lambda: len(done_slots(engine, "rig_hour")) >= hours + 3, what="the three hours", log=worker.log)
    other.stop()
    worker.stop()
    assert len(done_slots(engine, "rig_hour")) - hours in (3, 4)  # the hour may turn while the test runs
    assert_each_slot_once(engine, "rig_second", timedelta(seconds=1))
    assert not worker.said("probe_failed")
    assert not worker.said("task_bug")


def test_a_beat_that_was_down_for_three_periods_catches_up(launcher: Launcher, engine: Engine) -> None:
    worker = launcher.worker(QUEUES)
    beat = launcher.beat()
    wait_for_slots(engine, 1, log=worker.log)
    assert beat.stop() == 0
    assert leader(engine) is None  # given back, not waited out
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM billing_schedule_jobs WHERE job <> 'rig_hour'"))
        next_due_at = connection.execute(text("SELECT next_due_at FROM billing_schedule_jobs")).scalar_one()
        connection.execute(text("UPDATE billing_schedule_jobs SET schedule = 'every 3600 s'"))
    until_next = next_due_at - datetime.now(UTC)
    move_clock(engine, until_next + timedelta(hours=2, minutes=1))
    again = launcher.beat()
    wait_for(lambda: len(done_slots(engine, "rig_hour")) == 3, what="the three hours", log=again.log)
    assert_each_slot_once(engine, "rig_hour", timedelta(hours=1))
    assert done_slots(engine, "rig_hour")[0] == next_due_at


@pytest.mark.parametrize("broken", ["redis", "postgres"])
def test_beat_goes_on_after_an_outage(environment: dict[str, str], engine: Engine, tmp_path: Path, broken: str) -> None:
    with own_redis(tmp_path) as broker:
        launcher = Launcher({**environment, "REDIS_URL": broker.url}, tmp_path)
        try:
            worker = launcher.worker(QUEUES)
            beat = launcher.beat()
            wait_for_slots(engine, 1, log=worker.log)
            if broken == "redis":
                broker.kill()
                wait_for(lambda: beat.said("wake_unpublished"), what="a tick that fails", log=beat.log)
                broker.start()
            else:
                interrupt_database(engine, beat)
            wait_for_slots(engine, 2, log=worker.log)
            assert not beat.ended()
            assert not worker.ended()
        finally:
            launcher.stop()
        assert_each_slot_once(engine, "rig_second", timedelta(seconds=1))


def interrupt_database(engine: Engine, beat: CeleryProcess) -> None:
    """Let nobody else in and end every other session, as a restart would."""
    name = engine.url.database
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'))
        others = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> :own")
        own = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.execute(others, {"name": name, "own": own})
        wait_for(lambda: beat.said("beat_database_unreachable"), what="a Beat without database", log=beat.log)
        connection.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'))


def test_a_worker_killed_in_a_run_is_followed_by_another_and_the_run_is_done_once(
    launcher: Launcher, engine: Engine
) -> None:
    worker = launcher.worker(QUEUES)
    beat = launcher.beat()
    wait_for_slots(engine, 1, log=worker.log)
    at_gate = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :gate AND NOT granted")
    run = text("SELECT status, attempts FROM billing_schedule_runs WHERE job = 'rig_gate'")
    with engine.connect() as gate, engine.connect() as looking:
        gate.execute(text("SELECT pg_advisory_xact_lock(:gate)"), {"gate": GATE})
        move_clock(engine, timedelta(hours=1))
        wait_for(lambda: looking.execute(at_gate, {"gate": GATE}).scalar_one(), what="the run at the gate")
        worker.kill()
        assert looking.execute(run).all() == [("running", 1)]
        with engine.begin() as connection:  # the minute of the dead worker's lease passes
            connection.execute(
                text("UPDATE billing_schedule_runs SET lease_until = clock_timestamp() WHERE job = 'rig_gate'")
            )
        gate.rollback()
    second = launcher.worker(QUEUES)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        wait_for(lambda: connection.execute(run).all() == [("done", 2)], what="the second attempt", log=second.log)
    beat.stop()
    second.stop()
    assert [words for words in noted(engine).elements() if words.startswith("passed")] == [
        f"passed {slot.isoformat()}" for slot in done_slots(engine, "rig_gate")
    ]
