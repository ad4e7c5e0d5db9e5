"""Reset quotas whose period has ended."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.queries import periods as queries
from billing_worker.domains.quotas.services.advance_periods import advance_periods
from billing_worker.domains.quotas.services.check_zone import check_zone
from billing_worker.domains.usage.rules import MetricCatalog

PERIODS_PER_ROUND = 200
CLOSED_BY_JOB = "quota_reset"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ResetReport:
    """What a drain of due resets did; `passed` periods began and ended while nobody looked."""

    closed: int
    passed: int
    released: int


def reset_due_quotas(
    unit_of_work: UnitOfWork,
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    closed_by: str = CLOSED_BY_JOB,
    periods_per_round: int = PERIODS_PER_ROUND,
) -> ResetReport:
    """Close every open period that has ended and open those that follow, however many were missed.

    Phases: one transaction per round; blocked users are released in the transaction that opens their new period.
    Locks: quotas and periods with SKIP LOCKED; any number may run side by side.
    """
    closed = passed = released = 0
    while True:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            check_zone(session, zone)
            due = queries.claim_due_periods(session, now=now, limit=periods_per_round)
            report = advance_periods(
                session, due, metrics=metrics, zone=zone, enforcing=enforcing, closed_by=closed_by, now=now
            )
        if not due:
            break
        closed, passed, released = closed + report.closed, passed + report.passed, released + report.released
    if closed:
        _log.info("quota_reset", closed=closed, passed=passed, released=released, closed_by=closed_by)
    return ResetReport(closed, passed, released)
