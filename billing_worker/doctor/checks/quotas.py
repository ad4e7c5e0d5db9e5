"""Quotas: are they enforced, are periods closed when they end, are blocks right, is every leased unit accounted for."""

from __future__ import annotations

from datetime import timedelta

from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, describe_age, failed, fine
from billing_worker.doctor.queries import read_overdue_resets
from billing_worker.doctor.states import Component
from billing_worker.domains.quotas.queries.health import list_wrongly_blocked, read_lease_health

SHOWN = 5
LOST_COUNTS_FOR = timedelta(days=1)
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


def judge_blocks(subject: Subject) -> Judgement:
    """Look for users who are blocked without need."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        users = list_wrongly_blocked(session, ended_before=now - GRACE, limit=SHOWN + 1)
    if not users:
        return fine("nobody is blocked whose period is over or who has units left")
    more = " and more" if len(users) > SHOWN else ""
    evidence = f"blocked without need: {', '.join(users[:SHOWN])}{more}"
    cause = "their period was not reset, or their usage was corrected and not measured since"
    commands = (f"nself billing quota unblock --user {users[0]}", "nself billing quota reset-all --force")
    return failed(evidence, cause=cause, commands=commands)


def judge_leases(subject: Subject) -> Judgement:
    """Look for leased units that nobody took back, and for those whose count was lost."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        leases = read_lease_health(session, stuck_before=now - GRACE, lost_since=now - LOST_COUNTS_FOR)
    if leases.oldest_expiry is not None:
        age = describe_age(now - leases.oldest_expiry)
        evidence = f"{leases.stuck} leases hold {leases.stuck_units} units, the oldest expired {age} ago"
        cause = "the quota worker does not run: these units are refused to their users"
        return failed(
            evidence, cause=cause, commands=("nself billing health --component workers", "nself start billing")
        )
    if leases.lost:
        evidence = f"{leases.lost} leases with {leases.lost_units} units were lost in the last day and count as spent"
        cause = "Redis was emptied and a process killed within the same half minute; nothing is oversold"
        commands = ("nself logs billing | grep quota_lease_lost", "nself billing quota reset --user USER")
        return degraded(evidence, cause=cause, commands=commands)
    return fine("every lease was settled to the unit")


def judge_enforcement(subject: Subject) -> Judgement:
    """Say whether limits count at all."""
    if subject.settings.quota_enforcement_enabled:
        return fine("limits are enforced")
    cause = "QUOTA_ENFORCEMENT_ENABLED=false: usage beyond a limit is let through"
    commands = ("nself env set QUOTA_ENFORCEMENT_ENABLED=true", "nself restart billing")
    return degraded("limits are not enforced", cause=cause, commands=commands)


CHECKS = (
    Check("resets", Component.QUOTAS, judge_resets),
    Check("blocks", Component.QUOTAS, judge_blocks),
    Check("leases", Component.QUOTAS, judge_leases),
    Check("enforcement", Component.QUOTAS, judge_enforcement, needs_database=False),
)
