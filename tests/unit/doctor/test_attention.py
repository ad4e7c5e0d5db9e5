"""What of the overview wants attention."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing_worker.doctor.findings import describe_age
from billing_worker.doctor.queries import EffectFigures, LastReconciliation, ScheduleFigures
from billing_worker.doctor.rules import Standing, list_attention
from billing_worker.doctor.states import Verdict, worst_of
from billing_worker.inbox.reports import Backlog
from billing_worker.switches.states import Switches

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALM = Standing(
    at=NOW,
    clock_offset_seconds=0,
    switches=Switches(safe_mode=False, auto_payment=True, collector="stripe", queue_payments=False, maintenance=False),
    inbox=Backlog(pending=0, oldest_pending_at=None, failed=0, quarantined=0, parked=0),
    effects=EffectFigures(due=0, oldest_due_at=None, failed=0, unknown=0, intents_open=0, intents_parked=0),
    schedules=ScheduleFigures(late=0, oldest_late_at=None, latest_job=None, unscheduled=0, failed=0),
    payments_waiting=0,
    last_reconciliation=LastReconciliation("done", NOW, compared=5, differing=2, healed=2),
)


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (CALM, []),
        (replace(CALM, inbox=Backlog(9, ago(seconds=59), 0, 0, 3)), []),
        (replace(CALM, inbox=Backlog(9, ago(seconds=61), 0, 0, 3)), ["an event has waited for 1 min 1 s"]),
        (replace(CALM, inbox=Backlog(0, None, 2, 1, 0)), ["3 events could not be applied"]),
        (replace(CALM, effects=EffectFigures(4, ago(minutes=4), 0, 0, 7, 0)), []),
        (replace(CALM, effects=EffectFigures(4, ago(minutes=6), 0, 0, 0, 0)), ["4 effects are due and not done"]),
        (replace(CALM, effects=EffectFigures(0, None, 1, 1, 0, 0)), ["2 effects failed or ended unknown"]),
        (replace(CALM, effects=EffectFigures(0, None, 0, 0, 0, 1)), ["1 calls to Stripe are parked"]),
        (replace(CALM, schedules=ScheduleFigures(2, ago(minutes=4), "x", 0, 0)), []),
        (replace(CALM, schedules=ScheduleFigures(2, ago(minutes=6), "x", 0, 0)), ["2 scheduled runs are late"]),
        (replace(CALM, schedules=ScheduleFigures(0, None, None, 1, 0)), ["1 scheduled runs are late"]),
        (replace(CALM, schedules=ScheduleFigures(0, None, None, 0, 3)), ["3 scheduled runs failed in 24 h"]),
        (replace(CALM, payments_waiting=2), ["2 stored payments wait"]),
        (replace(CALM, payments_waiting=2, switches=replace(CALM.switches, queue_payments=True)), []),
        (replace(CALM, last_reconciliation=None), []),
        (
            replace(CALM, last_reconciliation=LastReconciliation("incomplete", NOW, 1, 0, 0)),
            ["the last reconciliation is incomplete"],
        ),
    ],
)
def test_attention_is_asked_for_what_does_not_mend_itself(standing: Standing, said: list[str]) -> None:
    attention = list_attention(standing)
    assert [each.what for each in attention] == said
    assert all(each.command.startswith("nself billing ") for each in attention)


def test_everything_at_once_is_told_in_order() -> None:
    standing = replace(
        CALM,
        inbox=Backlog(1, ago(hours=1), 1, 0, 0),
        effects=EffectFigures(1, ago(hours=1), 1, 0, 0, 1),
        schedules=ScheduleFigures(1, ago(hours=1), "x", 0, 1),
        payments_waiting=1,
    )
    assert len(list_attention(standing)) == 8


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_720, "1 h 2 min"), (180_000, "2 d 2 h")],
)
def test_ages_are_told_in_two_units(seconds: int, said: str) -> None:
    assert describe_age(timedelta(seconds=seconds)) == said


def test_the_worst_verdict_counts() -> None:
    assert worst_of([]) is Verdict.OK
    assert worst_of([Verdict.OK, Verdict.DEGRADED]) is Verdict.DEGRADED
    assert worst_of([Verdict.FAILED, Verdict.DEGRADED, Verdict.OK]) is Verdict.FAILED
