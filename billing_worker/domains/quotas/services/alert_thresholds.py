"""Tell users that a share of a quota is taken."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries.anchors import find_customers_of_users
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.rules import PeriodUse, reached_thresholds
from billing_worker.effects.drafts import EffectOfEvent, insert_effects
from billing_worker.kernel.events import EffectDraft

ALERT_KIND = "mail.quota_alert"

_log = structlog.get_logger(__name__)


def alert_thresholds(
    session: Session, uses: Iterable[tuple[QuotaPeriod, PeriodUse]], *, again: bool = False, now: datetime
) -> int:
    """Leave a mail for each threshold that open periods have reached, and return how many were new.

    Shape: `again` looks at thresholds too that the period as read had reached, for a limit that was changed.
    Idempotent by: quota, period start and threshold, for ever: each is told once, however often it is crossed.
    """
    reached = [(one, use, percent) for one, use in uses for percent in _reached(one, use, again=again)]
    if not reached:
        return 0
    customers = find_customers_of_users(session, {one.terms.user_id for one, _, _ in reached})
    new = 0
    for one, use, percent in reached:
        account_id, customer_id = customers.get(one.terms.user_id, ("", None))
        draft = EffectDraft(
            key=f"quota:{one.quota_id}:{int(one.period.start.timestamp())}:{percent}",
            kind=ALERT_KIND,
            object_key=f"quota:{one.quota_id}",
            customer_id=customer_id,
            payload={
                "metric": one.terms.metric_type,
                "percent": percent,
                "taken": use.taken,
                "granted": use.granted,
                "period_end": int(one.period.end.timestamp()),
                "blocks": one.terms.enforcement.value == "hard",
            },
            not_after=one.period.end,
        )
        if insert_effects(session, [EffectOfEvent(account_id, None, draft)], now):
            new += 1
            _log.info(
                "quota_alert",
                user_id=one.terms.user_id,
                metric_type=one.terms.metric_type,
                percent=percent,
                taken=use.taken,
                limit=use.granted,
            )
    return new


def _reached(one: QuotaPeriod, use: PeriodUse, *, again: bool) -> list[int]:
    """List the thresholds reached, each but once for a busy quota."""
    percents = one.terms.alert_at_percent
    before = [] if again else reached_thresholds(percents, one.use)
    return [percent for percent in reached_thresholds(percents, use) if percent not in before]
