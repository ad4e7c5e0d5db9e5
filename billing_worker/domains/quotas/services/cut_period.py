"""End an open period early."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries import period_changes as changes
from billing_worker.domains.quotas.queries.period_changes import NewPeriod
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.rules import LIMIT_MAX, PeriodUse, QuotaTerms
from billing_worker.domains.quotas.settlement import measure
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
        changes.change_open_period(session, current.id, terms=terms, end=end, rolled_over=rolled_over)
        return
    past = UsageSpan(terms.user_id, terms.metric_type, Period(current.period.start, now))
    [measured] = measure_usage(session, [past], metrics=metrics, zone=zone)
    used, held = min(measured.value, LIMIT_MAX), current.use.held
    ledger = measure(current.use.ledger, used, held=held, settles=current.terms.settles)
    changes.update_uses(session, [(current.id, ledger, current.blocked_at is not None)], now=now)
    changes.close_periods(session, [(current.id, now)], closed_by=closed_by, now=now)
    use = PeriodUse(terms.limit_value, rolled_over, used_value=0)
    new = NewPeriod(current.quota_id, terms, Period(now, end), use, blocked=False, closed_by=None)
    changes.insert_periods(session, [new], now=now)
