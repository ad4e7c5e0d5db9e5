"""Set a user's quota of a metric."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries import period_changes as changes
from billing_worker.domains.quotas.queries import periods as queries
from billing_worker.domains.quotas.queries.period_changes import NewPeriod
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.rules import PeriodUse, QuotaTerms, check_terms, period_of
from billing_worker.domains.quotas.services.advance_periods import advance_periods
from billing_worker.domains.quotas.services.alert_thresholds import alert_thresholds
from billing_worker.domains.quotas.services.check_zone import check_zone
from billing_worker.domains.quotas.services.cut_period import cut_period
from billing_worker.domains.quotas.services.refresh_periods import refresh_periods
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.kernel.periods import Period


def set_quota(
    session: Session,
    terms: QuotaTerms,
    *,
    set_by: str,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> QuotaPeriod:
    """Save the terms and return the open period, measured: usage of the period before now counts too.

    A new limit holds at once, in the period that is open. Another kind of period, or another anchor, cuts: the open
    period ends now and the new one counts from now to its regular end.
    Locks: the quota's row, which guards its periods.
    Raises: UnknownMetricError, InvalidQuotaError, OtherZoneError.
    """
    metrics.get(terms.metric_type)
    check_terms(terms)
    check_zone(session, zone)
    known = queries.lock_quotas_of_user(session, terms.user_id, terms.metric_type)
    due = [one for one in queries.list_open_periods(session, known) if one.period.end <= now]
    advance_periods(session, due, metrics=metrics, zone=zone, enforcing=enforcing, closed_by=set_by, now=now)
    quota_id = changes.save_quota(session, terms, set_by=set_by, now=now)
    regular = period_of(terms, now, zone)
    match queries.list_open_periods(session, [quota_id]):
        case []:
            _open(session, quota_id, terms, regular, now)
        case [current] if current.kind is terms.kind and current.period.end == regular.end:
            changes.change_limit(session, current.id, terms.limit_value, now=now)
        case [current]:
            cut_period(
                session,
                current,
                terms=terms,
                end=regular.end,
                rolled_over=0,
                closed_by=set_by,
                metrics=metrics,
                zone=zone,
                now=now,
            )
    opened = queries.list_open_periods(session, [quota_id])
    refresh_periods(session, opened, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
    [measured] = queries.list_open_periods(session, [quota_id])
    alert_thresholds(session, [(measured, measured.use)], again=True, now=now)
    return measured


def _open(session: Session, quota_id: int, terms: QuotaTerms, regular: Period, now: datetime) -> None:
    last_end = queries.find_last_end(session, quota_id)
    period = regular if last_end is None else Period(max(regular.start, last_end), regular.end)
    use = PeriodUse(terms.limit_value, rolled_over=0, used_value=0)
    new = NewPeriod(quota_id, terms, period, use, blocked=False, closed_by=None)
    changes.insert_periods(session, [new], now=now)
