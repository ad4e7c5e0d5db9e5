"""SQL of billing periods that are over."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.usage.rules import UsageSpan
from billing_worker.kernel.periods import Period


def list_closed_billing_periods(session: Session, before: datetime) -> list[UsageSpan]:
    """Return the closed periods that follow a subscription and began before a time: their ends lie in any second."""
    statement = text(
        "SELECT DISTINCT user_id, metric_type, period_start, period_end FROM billing.billing_quota_periods "
        "WHERE period = 'billing' AND status = 'closed' AND period_start < :before ORDER BY 3, 1, 2"
    )
    rows = session.execute(statement, {"before": before})
    return [UsageSpan(user_id, metric, Period(start, end)) for user_id, metric, start, end in rows]
