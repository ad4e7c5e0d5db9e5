"""Quotas: are they enforced, are periods closed when they end."""

from __future__ import annotations

from datetime import timedelta

from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, describe_age, failed, fine
from billing_worker.doctor.queries import read_overdue_resets
from billing_worker.doctor.states import Component

GRACE = timedelta(minutes=10)
"""Resets are looked for every few minutes and drain all that is due."""


def judge_resets(subject: Subject) -> Judgement:
    """Look for periods that ended and are still open."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        overdue = read_overdue_resets(session, now - GRACE)
    if overdue.oldest_end is None:
        return fine("no reset is overdue")
    evidence = (
        f"{overdue.periods} periods ended and were not reset, the oldest {describe_age(now - overdue.oldest_end)} ago"
    )
    cause = "users may be blocked by usage of a period that is over: the quota worker or the schedule does not run"
    commands = (
        "nself billing health --component schedules",
        "nself start billing",
        "nself billing quota show-schedule",
    )
    return failed(evidence, cause=cause, commands=commands)


def judge_enforcement(subject: Subject) -> Judgement:
    """Say whether limits count at all."""
    if subject.settings.quota_enforcement_enabled:
        return fine("limits are enforced")
    cause = "QUOTA_ENFORCEMENT_ENABLED=false: usage beyond a limit is let through"
    commands = ("nself env set QUOTA_ENFORCEMENT_ENABLED=true", "nself restart billing")
    return degraded("limits are not enforced", cause=cause, commands=commands)


CHECKS = (
    Check("resets", Component.QUOTAS, judge_resets),
    Check("enforcement", Component.QUOTAS, judge_enforcement, needs_database=False),
)
