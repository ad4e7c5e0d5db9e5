"""Give users what their plans grant."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.errors import NoBillingAnchorError
from billing_worker.domains.quotas.queries import plans as queries
from billing_worker.domains.quotas.queries.period_changes import close_periods
from billing_worker.domains.quotas.queries.periods import list_open_periods
from billing_worker.domains.quotas.rules import QuotaTerms
from billing_worker.domains.quotas.services.find_billing_anchor import find_billing_anchor
from billing_worker.domains.quotas.services.set_quota import set_quota
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.kernel.periods import PeriodKind

SET_BY_PLAN = "plan"

_log = structlog.get_logger(__name__)


def apply_plan_quotas(
    session: Session,
    user_ids: Collection[str],
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> int:
    """Set the quotas that users' plans grant, end those that another plan does not grant, return how many changed.

    Shape: a user's own quota of a metric wins. Who has no subscription any more keeps what he had.
    Locks: the users' quotas, user by user in order.
    """
    wanted = queries.list_wanted_terms(session, user_ids)
    derived = {
        (one.terms.user_id, one.terms.metric_type): one for one in queries.list_derived_quotas(session, user_ids)
    }
    subscribers = queries.list_subscribers(session, user_ids)
    changed = 0
    for key, terms in sorted(wanted.items()):
        anchored = _anchored(session, terms)
        if anchored is None or (key in derived and derived[key].terms == anchored):
            continue
        set_quota(session, anchored, set_by=SET_BY_PLAN, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
        changed += 1
    ended = [one.quota_id for key, one in derived.items() if key not in wanted and key[0] in subscribers]
    opened = list_open_periods(session, ended)
    # a period that has only just begun ends a moment after its start: it has to contain something
    ends = [(one.id, max(now, one.period.start + one.period.start.resolution)) for one in opened]
    close_periods(session, ends, closed_by=SET_BY_PLAN, now=now)
    return changed + len(opened)


def _anchored(session: Session, terms: QuotaTerms) -> QuotaTerms | None:
    """Add the anchor of the user's subscription to terms that need one; None when it has none to follow."""
    if terms.kind is not PeriodKind.BILLING:
        return terms
    try:
        return replace(terms, anchor=find_billing_anchor(session, terms.user_id))
    except NoBillingAnchorError as error:
        _log.warning("quota_plan_without_anchor", user_id=terms.user_id, price=terms.from_price_id, error=str(error))
        return None
