from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.worker.ledger.rules import (
    MAX_SLOTS_PER_TICK,
    DueSlots,
    Grid,
    Schedule,
    compute_backoff,
    compute_due_slots,
    compute_first_slot,
)
from schedules.job import IfMissed, Job

HOUR = timedelta(hours=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def hourly(if_missed: IfMissed) -> Schedule:
    return Schedule(Job("a_job", task="a.task", queue="usage", every=HOUR, if_missed=if_missed), Grid(HOUR))


@pytest.mark.parametrize("if_missed", ["each", "last", "skip"])
def test_nothing_is_due_before_the_slot_and_one_run_at_it(if_missed: IfMissed) -> None:
    schedule = hourly(if_missed)
    before = compute_due_slots(schedule, next_due_at=NOON, now=NOON - timedelta(microseconds=1))
    assert before == DueSlots((), NOON)
    assert compute_due_slots(schedule, next_due_at=NOON, now=NOON) == DueSlots((NOON,), NOON + HOUR)


def test_three_missed_slots_are_each_run_or_the_last_or_none() -> None:
    now = NOON + 2 * HOUR + timedelta(minutes=30)
    newest = NOON + 2 * HOUR
    following = NOON + 3 * HOUR
    due = {policy: compute_due_slots(hourly(policy), next_due_at=NOON, now=now) for policy in ("each", "last", "skip")}
    assert due == {
        "each": DueSlots((NOON, NOON + HOUR, newest), following),
        "last": DueSlots((newest,), following),
        "skip": DueSlots((), following),
    }


@given(
    steps=st.lists(st.timedeltas(timedelta(0), timedelta(days=40)), min_size=1, max_size=12),
    every=st.sampled_from([timedelta(seconds=7), timedelta(minutes=1), HOUR, timedelta(days=1)]),
)
def test_however_the_ticks_fall_each_slot_becomes_one_run(steps: list[timedelta], every: timedelta) -> None:
    schedule = Schedule(Job("a_job", task="a.task", queue="usage", every=every), Grid(every))
    now = NOON
    next_due_at = schedule.cadence.at_or_after(NOON)
    runs: list[datetime] = []
    for step in steps:
        now += step
        for _ in range(4):  # a tick a second goes on where the last one stopped
            due = compute_due_slots(schedule, next_due_at=next_due_at, now=now)
            assert len(due.slots) <= MAX_SLOTS_PER_TICK
            runs.extend(due.slots)
            next_due_at = due.next_due_at
    assert all(later - earlier == every for earlier, later in pairwise(runs))
    assert not runs or runs[0] == schedule.cadence.at_or_after(NOON)
    assert all(run <= now for run in runs)
    assert next_due_at == (runs[-1] + every if runs else schedule.cadence.at_or_after(NOON))


def test_a_changed_schedule_catches_up_what_was_missed_and_takes_effect_today() -> None:
    schedule = hourly("each")
    now = NOON + timedelta(minutes=10)
    assert compute_first_slot(schedule, stored_next_due_at=None, now=now) == NOON + HOUR
    tomorrow = NOON + timedelta(days=1)
    assert compute_first_slot(schedule, stored_next_due_at=tomorrow, now=now) == NOON + HOUR
    missed = NOON - timedelta(hours=3, minutes=5)
    assert compute_first_slot(schedule, stored_next_due_at=missed, now=now) == NOON - 3 * HOUR


def test_the_grid_is_the_same_for_everybody() -> None:
    grid = Grid(timedelta(minutes=7))
    slot = grid.at_or_after(NOON)
    assert (slot - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(minutes=7) == timedelta(0)
    assert grid.at_or_before(slot) == slot == grid.at_or_after(slot)


def test_waits_between_attempts_double() -> None:
    assert [compute_backoff(attempt).total_seconds() for attempt in (1, 2, 3, 4)] == [10, 20, 40, 80]
