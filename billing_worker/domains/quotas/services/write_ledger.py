"""Write what a period has come to."""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries.period_changes import update_uses
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.rules import PeriodUse, is_blocked
from billing_worker.domains.quotas.services.alert_thresholds import alert_thresholds
from billing_worker.domains.quotas.states import PeriodStatus

_log = structlog.get_logger(__name__)


def write_ledger(session: Session, one: QuotaPeriod, use: PeriodUse, *, enforcing: bool, now: datetime) -> None:
    """Write a period's ledger if it changed, block or release its user, and tell of thresholds.

    Order: the caller has locked the quota.
    """
    was_blocked = one.blocked_at is not None
    blocked = was_blocked  # a closed period keeps its history
    if one.status is PeriodStatus.OPEN:
        blocked = is_blocked(one.terms.enforcement, use, enforcing=enforcing)
    if use.ledger == one.use.ledger and blocked == was_blocked:
        return
    update_uses(session, [(one.id, use.ledger, blocked)], now=now)
    if blocked != was_blocked:
        _log.info(
            "quota_enforcement",
            action="blocked" if blocked else "released",
            user_id=one.terms.user_id,
            metric_type=one.terms.metric_type,
            used=use.taken,
            limit=use.granted,
        )
    if one.status is PeriodStatus.OPEN:
        alert_thresholds(session, [(one, use)], now=now)
