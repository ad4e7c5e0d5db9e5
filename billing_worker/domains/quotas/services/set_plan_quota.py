"""Set what a plan grants."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries.plans import list_users_to_apply, save_plan_quota
from billing_worker.domains.quotas.rules import QuotaTerms, check_thresholds
from billing_worker.domains.quotas.services.apply_plan_quotas import apply_plan_quotas
from billing_worker.domains.usage.rules import MetricCatalog

USERS_AT_ONCE = 500
"""The rest follows within the hour, by the scheduled job."""


def set_plan_quota(
    session: Session,
    price_id: str,
    terms: QuotaTerms,
    *,
    set_by: str,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> int:
    """Save the quota of a price and apply it to its subscribers; return how many users were looked at.

    Raises: UnknownMetricError, InvalidQuotaError.
    """
    metrics.get(terms.metric_type)
    check_thresholds(terms.alert_at_percent)
    save_plan_quota(session, price_id, terms, set_by=set_by, now=now)
    users = list_users_to_apply(session, limit=USERS_AT_ONCE)
    apply_plan_quotas(session, users, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
    return len(users)
