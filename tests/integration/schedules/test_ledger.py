from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.worker.ledger.queries import ClaimedRun, count_unfinished, end_run, list_runs
from billing_worker.worker.ledger.rules import MAX_ATTEMPTS, MAX_SLOTS_PER_TICK, Grid, Schedule
from billing_worker.worker.ledger.services.claim_run import claim_run
from billing_worker.worker.ledger.services.find_startable_jobs import find_startable_jobs
from billing_worker.worker.ledger.services.insert_due_runs import insert_due_runs
from billing_worker.worker.ledger.services.prune_runs import prune_runs
from billing_worker.worker.ledger.services.run_due_jobs import RunsOutcome, run_due_jobs
from billing_worker.worker.ledger.states import RunStatus
from schedules.job import Job

MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=60)
JOB = Job("each_minute", task="a.task", queue="usage", every=MINUTE)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def scheduled(job: Job = JOB) -> Schedule:
    assert job.every is not None
    return Schedule(job, Grid(job.every))


def tick(unit_of_work: UnitOfWork, *jobs: Job) -> int:
    return insert_due_runs(unit_of_work, schedules=[scheduled(job) for job in jobs or (JOB,)], now=unit_of_work.now())


def rows(unit_of_work: UnitOfWork, job: Job = JOB) -> list[tuple[datetime, str, int]]:
    with unit_of_work.transaction() as session:
        return sorted((run.due_at, run.status.value, run.attempts) for run in list_runs(session, job=job.name))


def drain(unit_of_work: UnitOfWork, execute: Callable[[datetime], Mapping[str, object]], job: Job = JOB) -> RunsOutcome:
    return run_due_jobs(unit_of_work, job=job, execute=execute, worker="w1", limit=LEASE)


def claim(unit_of_work: UnitOfWork, *, worker: str = "w1", job: Job = JOB) -> ClaimedRun | None:
    with unit_of_work.transaction() as session:
        return claim_run(session, job=job, worker=worker, lease=LEASE, now=unit_of_work.now())


def expire_leases(unit_of_work: UnitOfWork) -> None:
    with unit_of_work.transaction() as session:
        session.execute(text("UPDATE billing_schedule_runs SET lease_until = clock_timestamp() - interval '1 second'"))


def test_a_new_job_begins_at_its_next_slot_and_each_slot_is_one_run(
    unit_of_work: UnitOfWork, clock: FixedClock
) -> None:
    clock.advance(timedelta(seconds=20))
    assert [tick(unit_of_work) for _ in range(3)] == [0, 0, 0]
    clock.advance(timedelta(seconds=40))
    assert [tick(unit_of_work) for _ in range(3)] == [1, 0, 0]
    assert rows(unit_of_work) == [(NOON + MINUTE, "due", 0)]


def test_a_scheduler_that_was_down_for_three_periods_catches_up(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    newest = Job("newest_only", task="a.task", queue="usage", every=MINUTE, if_missed="last")
    fresh = Job("fresh_only", task="a.task", queue="usage", every=MINUTE, if_missed="skip")
    assert tick(unit_of_work, JOB, newest, fresh) == 3  # noon is a slot of all three
    clock.advance(3 * MINUTE + timedelta(seconds=30))
    assert tick(unit_of_work, JOB, newest, fresh) == 4
    slots = {job.name: [due_at for due_at, _, _ in rows(unit_of_work, job)] for job in (JOB, newest, fresh)}
    assert slots == {
        "each_minute": [NOON, NOON + MINUTE, NOON + 2 * MINUTE, NOON + 3 * MINUTE],
        "newest_only": [NOON, NOON + 3 * MINUTE],
        "fresh_only": [NOON],
    }
    clock.advance(timedelta(seconds=30))
    assert tick(unit_of_work, JOB, newest, fresh) == 3


def test_a_long_absence_is_caught_up_in_bounded_steps(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    tick(unit_of_work)
    clock.advance(timedelta(days=1))
    inserted = [tick(unit_of_work) for _ in range(4)]
    assert inserted == [MAX_SLOTS_PER_TICK, MAX_SLOTS_PER_TICK, 24 * 60 - 2 * MAX_SLOTS_PER_TICK, 0]


def test_ticks_at_the_same_moment_make_each_run_once(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    jobs = [Job(f"job_{number}", task="a.task", queue="usage", every=MINUTE) for number in range(5)]
    tick(unit_of_work, *jobs)
    clock.advance(10 * MINUTE)
    threads = 6
    barrier = threading.Barrier(threads)

    def at_once(_: int) -> int:
        barrier.wait()
        return tick(unit_of_work, *jobs)

    with ThreadPoolExecutor(threads) as pool:
        first = sum(pool.map(at_once, range(threads)))
    assert first == 10 * len(jobs)
    for job in jobs:
        assert [due_at for due_at, _, _ in rows(unit_of_work, job)] == [NOON + step * MINUTE for step in range(11)]


def test_new_jobs_met_by_two_ticks_at_once_begin_once(unit_of_work: UnitOfWork) -> None:
    barrier = threading.Barrier(4)

    def at_once(_: int) -> int:
        barrier.wait()
        return tick(unit_of_work)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(at_once, range(4))) == 1
    assert rows(unit_of_work) == [(NOON, "due", 0)]


def test_a_changed_schedule_keeps_the_runs_it_has(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    tick(unit_of_work)
    slower = Job(JOB.name, task="a.task", queue="usage", every=5 * MINUTE)
    clock.advance(2 * MINUTE)
    assert tick(unit_of_work, slower) == 0
    clock.advance(3 * MINUTE)
    assert tick(unit_of_work, slower) == 1
    assert [due_at for due_at, _, _ in rows(unit_of_work)] == [NOON, NOON + 5 * MINUTE]


def test_runs_are_done_in_order_each_with_its_slot_and_report(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    tick(unit_of_work)
    clock.advance(2 * MINUTE)
    tick(unit_of_work)
    called: list[datetime] = []

    def execute(due_at: datetime) -> Mapping[str, object]:
        called.append(due_at)
        return {"reset": len(called), "until": due_at}

    assert drain(unit_of_work, execute) == RunsOutcome(done=3)
    assert called == [NOON, NOON + MINUTE, NOON + 2 * MINUTE]
    with unit_of_work.transaction() as session:
        reports = [run.report for run in reversed(list_runs(session))]
    assert reports == [{"reset": n + 1, "until": str(NOON + n * MINUTE)} for n in range(3)]
    assert drain(unit_of_work, execute) == RunsOutcome()


def test_a_run_whose_worker_died_is_given_out_again_and_ended_once(unit_of_work: UnitOfWork) -> None:
    tick(unit_of_work)
    dead = claim(unit_of_work)
    assert dead is not None
    assert claim(unit_of_work, worker="w2") is None
    expire_leases(unit_of_work)
    taken = claim(unit_of_work, worker="w2")
    assert taken == ClaimedRun(dead.id, JOB.name, NOON, attempt=2)
    with unit_of_work.transaction() as session:
        assert end_run(session, dead, RunStatus.DONE, now=NOON) is False
        assert end_run(session, taken, RunStatus.DONE, now=NOON) is True
        assert end_run(session, taken, RunStatus.FAILED, now=NOON) is False
    assert rows(unit_of_work) == [(NOON, "done", 2)]


def test_a_run_that_kills_every_worker_is_failed_and_takes_no_more(unit_of_work: UnitOfWork) -> None:
    tick(unit_of_work)
    for _ in range(MAX_ATTEMPTS):
        assert claim(unit_of_work) is not None
        expire_leases(unit_of_work)
    assert claim(unit_of_work) is None
    with unit_of_work.transaction() as session:
        (run,) = list_runs(session)
    assert (run.status, run.attempts, run.detail) == ("failed", 5, "its worker died in 5 attempts, last w1")


def test_the_heartbeat_keeps_the_lease_of_a_long_run(unit_of_work: UnitOfWork) -> None:
    tick(unit_of_work)
    lease = timedelta(seconds=1)
    seen: list[ClaimedRun | None] = []

    def execute(_: datetime) -> Mapping[str, object]:
        with unit_of_work.transaction() as session:
            first = list_runs(session)[0].heartbeat_at
        beats = 0
        while beats < 6:  # each beat is a quarter of the lease: six of them outlive it
            with unit_of_work.transaction() as session:
                beat = session.execute(text("SELECT heartbeat_at FROM billing_schedule_runs")).scalar_one()
                session.execute(text("SELECT pg_sleep(0.05)"))
            beats, first = beats + (beat != first), beat
        seen.append(claim(unit_of_work, worker="w2"))
        return {}

    outcome = run_due_jobs(unit_of_work, job=JOB, execute=execute, worker="w1", limit=LEASE, lease=lease)
    assert outcome == RunsOutcome(done=1)
    assert seen == [None]
    assert rows(unit_of_work) == [(NOON, "done", 1)]


def test_runs_of_one_job_do_not_overlap_unless_they_may(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    free = Job("may_overlap", task="a.task", queue="usage", every=MINUTE, overlap="allow")
    tick(unit_of_work, JOB, free)
    clock.advance(MINUTE)
    tick(unit_of_work, JOB, free)
    claims = [claim(unit_of_work, job=job) for job in (JOB, JOB, free, free, free)]
    assert [run and run.due_at for run in claims] == [NOON, None, NOON, NOON + MINUTE, None]
    with unit_of_work.transaction() as session:
        assert find_startable_jobs(session, jobs=[JOB, free], now=unit_of_work.now()) == []
    expire_leases(unit_of_work)
    with unit_of_work.transaction() as session:
        assert find_startable_jobs(session, jobs=[JOB, free], now=unit_of_work.now()) == [JOB, free]


def test_claims_at_the_same_moment_respect_overlap(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    tick(unit_of_work)
    clock.advance(5 * MINUTE)
    tick(unit_of_work)
    barrier = threading.Barrier(6)

    def at_once(number: int) -> ClaimedRun | None:
        barrier.wait()
        return claim(unit_of_work, worker=f"w{number}")

    with ThreadPoolExecutor(6) as pool:
        claims = [run for run in pool.map(at_once, range(6)) if run is not None]
    assert [run.due_at for run in claims] == [NOON]


def test_a_failing_run_waits_longer_each_time_then_fails(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    rare = Job("rare", task="a.task", queue="usage", every=timedelta(hours=12))
    tick(unit_of_work, rare)

    def execute(_: datetime) -> Mapping[str, object]:
        raise RetryableError("Stripe is away")

    waits = []
    for _ in range(MAX_ATTEMPTS - 1):
        assert drain(unit_of_work, execute, rare) == RunsOutcome(retried=1)
        with unit_of_work.transaction() as session:
            (run,) = list_runs(session)
            assert count_unfinished(session, unit_of_work.now()) == 0
        assert run.not_before is not None
        waits.append(int((run.not_before - clock.now()).total_seconds()))
        assert drain(unit_of_work, execute, rare) == RunsOutcome()
        clock.advance(run.not_before - clock.now())
    assert waits == [10, 20, 40, 80]
    assert drain(unit_of_work, execute, rare) == RunsOutcome(failed=1)
    with unit_of_work.transaction() as session:
        (run,) = list_runs(session)
    assert (run.status, run.attempts, run.detail) == ("failed", 5, "RetryableError: Stripe is away")


def test_a_waiting_run_holds_back_the_later_ones_of_its_job(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    tick(unit_of_work)
    clock.advance(MINUTE)
    tick(unit_of_work)
    called: list[datetime] = []

    def fails_first(due_at: datetime) -> Mapping[str, object]:
        called.append(due_at)
        if len(called) == 1:
            raise RetryableError("once")
        return {}

    assert drain(unit_of_work, fails_first) == RunsOutcome(retried=1)
    clock.advance(timedelta(seconds=10))
    assert drain(unit_of_work, fails_first) == RunsOutcome(done=2)
    assert called == [NOON, NOON, NOON + MINUTE]


def test_a_terminal_error_is_not_tried_again(unit_of_work: UnitOfWork) -> None:
    tick(unit_of_work)

    def execute(_: datetime) -> Mapping[str, object]:
        raise TerminalError("no such account")

    assert drain(unit_of_work, execute) == RunsOutcome(failed=1)
    assert rows(unit_of_work) == [(NOON, "failed", 1)]


def test_a_moved_billing_clock_expires_no_lease(unit_of_work: UnitOfWork, clock: FixedClock) -> None:
    tick(unit_of_work)
    assert claim(unit_of_work) is not None
    clock.advance(timedelta(days=30))
    assert claim(unit_of_work, worker="w2") is None
    assert rows(unit_of_work) == [(NOON, "running", 1)]


@pytest.mark.parametrize(("days", "left"), [(89, 1), (91, 0)])
def test_old_runs_are_pruned_and_their_slots_stay_past(
    unit_of_work: UnitOfWork, clock: FixedClock, days: int, left: int
) -> None:
    tick(unit_of_work)
    drain(unit_of_work, lambda _: {})
    clock.advance(timedelta(seconds=59))
    tick(unit_of_work)
    clock.advance(timedelta(days=days))
    assert prune_runs(unit_of_work) == 1 - left
    assert len(rows(unit_of_work)) == left


def test_open_slots_and_runs_count_as_unfinished(unit_of_work: UnitOfWork, clock: FixedClock, session: Session) -> None:
    counts = []
    for step in (lambda: None, lambda: tick(unit_of_work), lambda: claim(unit_of_work)):
        step()
        counts.append(count_unfinished(session, clock.now()))
        session.rollback()
    clock.advance(MINUTE)
    counts.append(count_unfinished(session, clock.now()))
    assert counts == [0, 1, 1, 2]
