"""Schedules: does every slot run, and on time."""

from __future__ import annotations

from datetime import timedelta

from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, describe_age, failed, fine
from billing_worker.doctor.queries import read_schedules
from billing_worker.doctor.states import Component

LATE = timedelta(minutes=5)
"""The tick comes every second; a run of a busy queue begins within its predecessors' time limits."""

LOOK_BACK = timedelta(days=1)


def judge_lateness(subject: Subject) -> Judgement:
    """Look for slots without run, and runs that nobody has begun."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        figures = read_schedules(session, now, failed_since=now - LOOK_BACK)
    evidence = f"{figures.late} runs due now, {figures.unscheduled} jobs with a slot that is no run yet"
    if figures.unscheduled:
        cause = "no tick comes: Beat or the worker of queue tick is down"
        commands = ("nself billing health --component workers", "nself start billing")
        return failed(evidence, cause=cause, commands=commands)
    if figures.oldest_late_at is not None and now - figures.oldest_late_at > LATE:
        evidence += f", the oldest ({figures.latest_job}) {describe_age(now - figures.oldest_late_at)} late"
        commands = ("nself billing jobs list --status due", "nself restart billing")
        return failed(evidence, cause="the worker of the job's queue is down, stuck or overloaded", commands=commands)
    return fine(evidence)


def judge_failures(subject: Subject) -> Judgement:
    """Look for runs that ended as failed."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        figures = read_schedules(session, now, failed_since=now - LOOK_BACK)
    if figures.failed:
        cause = "runs used up their attempts; their reports say why"
        commands = ("nself billing errors --last 24h", "nself billing jobs list --status failed")
        return degraded(f"{figures.failed} runs failed in 24 h", cause=cause, commands=commands)
    return fine("no run failed in 24 h")


CHECKS = (
    Check("lateness", Component.SCHEDULES, judge_lateness),
    Check("failures", Component.SCHEDULES, judge_failures),
)
