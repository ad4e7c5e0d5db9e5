"""Carry aggregated usage over to the quotas it touches."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.queries import periods as queries
from billing_worker.domains.quotas.queries.marks import claim_usage_marks
from billing_worker.domains.quotas.services.refresh_periods import RefreshReport, refresh_periods
from billing_worker.domains.usage.rules import MetricCatalog

MARKS_PER_ROUND = 1000


def refresh_quota_usage(
    unit_of_work: UnitOfWork,
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    marks_per_round: int = MARKS_PER_ROUND,
) -> RefreshReport:
    """Measure the periods that aggregation has marked, and block or release their users.

    Phases: one transaction per round: take marks, lock quotas, measure, write.
    Idempotent by: used values are measured from the rollups, never added up; a mark is taken with its measurement.
    """
    periods = blocked = released = 0
    while True:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            marks = claim_usage_marks(session, limit=marks_per_round)
            if not marks:
                break
            quotas = queries.lock_touched_quotas(session, marks)
            touched = queries.list_touched_periods(session, quotas, marks)
            report = refresh_periods(session, touched, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
        periods, blocked, released = periods + report.periods, blocked + report.blocked, released + report.released
    return RefreshReport(periods, blocked, released)
