"""Examine the installation: every check of every component, or of one."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from billing_worker.doctor.checks import (
    database,
    deliveries,
    quotas,
    redis,
    schedules,
    stripe,
    usage,
    webhooks,
    workers,
)
from billing_worker.doctor.findings import Check, Finding, Judgement, Subject, failed
from billing_worker.doctor.states import Component

CHECKS: tuple[Check, ...] = (
    *database.CHECKS,
    *redis.CHECKS,
    *workers.CHECKS,
    *schedules.CHECKS,
    *deliveries.CHECKS,
    *webhooks.CHECKS,
    *usage.CHECKS,
    *quotas.CHECKS,
    *stripe.CHECKS,
)

DATABASE_COMMANDS = ("nself db test-connection", "nself status", "nself restart postgres")


def examine(subject: Subject, *, component: Component | None = None) -> list[Finding]:
    """Run the checks in order and return what each found.

    Shape: a database that is away fails every check that needs it, after one attempt to reach it.
    """
    findings: list[Finding] = []
    away: Judgement | None = None
    for check in CHECKS:
        if component is not None and check.component is not component:
            continue
        judgement = away if away is not None and check.needs_database else None
        if judgement is None:
            try:
                judgement = check.judge(subject)
            except (DBAPIError, PoolTimeoutError) as error:
                judgement = _judge_error(error)
                if _is_away(error):
                    away = judgement
        findings.append(
            Finding(
                component=check.component,
                check=check.name,
                verdict=judgement.verdict,
                evidence=judgement.evidence,
                cause=judgement.cause,
                commands=judgement.commands,
            )
        )
    return findings


def _is_away(error: Exception) -> bool:
    return isinstance(error, PoolTimeoutError) or not getattr(getattr(error, "orig", None), "pgcode", None)


def _judge_error(error: Exception) -> Judgement:
    said = str(getattr(error, "orig", error)).strip().partition("\n")[0]
    if _is_away(error):
        return failed(said, cause="PostgreSQL does not answer", commands=DATABASE_COMMANDS)
    # A missing table or a time-out: the schema and room checks say more.
    return failed(said, cause="PostgreSQL refused to tell", commands=("nself billing health --component database",))
