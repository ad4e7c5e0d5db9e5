"""End an open period early."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries import periods as queries
from billing_worker.domains.quotas.queries.periods import NewPeriod, QuotaPeriod
from billing_worker.domains.quotas.rules import LIMIT_MAX, PeriodUse, QuotaTerms
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan
from billing_worker.domains.usage.services.measure_usage import measure_usage
from billing_worker.kernel.periods import Period


def cut_period(
    session: Session,
    current: QuotaPeriod,
    *,
    terms: QuotaTerms,
    end: datetime,
    rolled_over: int,
    closed_by: str,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    now: datetime,
) -> None:
    """Close an open period now and open one from now to `end`, so that the history has neither gap nor overlap.

    Shape: a period that has only just begun is changed in place: it has no past to keep. The new period is not
    measured here.
    """
    if current.period.start >= now:
        queries.change_open_period(session, current.id, terms=terms, end=end, rolled_over=rolled_over)
        return
    past = UsageSpan(terms.user_id, terms.metric_type, Period(current.period.start, now))
    [measured] = measure_usage(session, [past], metrics=metrics, zone=zone)
    used_value = min(measured.value, LIMIT_MAX)
    queries.close_periods(session, [(current.id, now, used_value)], closed_by=closed_by, now=now)
    use = PeriodUse(terms.limit_value, rolled_over, used_value=0)
    new = NewPeriod(current.quota_id, terms, Period(now, end), use, blocked=False, closed_by=None)
    queries.insert_periods(session, [new], now=now)
