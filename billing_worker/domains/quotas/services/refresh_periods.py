"""Bring the used value of quota periods up to the rollups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries.period_changes import update_uses
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.rules import LIMIT_MAX, PeriodUse, is_blocked
from billing_worker.domains.quotas.services.alert_thresholds import alert_thresholds
from billing_worker.domains.quotas.settlement import Ledger, measure
from billing_worker.domains.quotas.states import PeriodStatus
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan
from billing_worker.domains.usage.services.measure_usage import measure_usage

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """How many periods were measured, and whose users were blocked or released by it."""

    periods: int
    blocked: int
    released: int


def refresh_periods(
    session: Session,
    stored: Sequence[QuotaPeriod],
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> RefreshReport:
    """Measure periods anew and block or release the users of open ones.

    Order: the caller has locked the quotas in an earlier statement, so that the measurement's snapshot is younger
    than any other change of these periods.
    """
    spans = [UsageSpan(one.terms.user_id, one.terms.metric_type, one.period) for one in stored]
    measured = measure_usage(session, spans, metrics=metrics, zone=zone)
    uses: list[tuple[int, Ledger, bool]] = []
    opens: list[tuple[QuotaPeriod, PeriodUse]] = []
    changed = {True: 0, False: 0}
    for one, measurement in zip(stored, measured, strict=True):
        used = min(measurement.value, LIMIT_MAX)
        ledger = measure(one.use.ledger, used, held=one.use.held, settles=one.terms.settles)
        use = one.use.with_ledger(ledger, held=one.use.held)
        was_blocked = one.blocked_at is not None
        blocked = was_blocked  # a closed period keeps its history
        if one.status is PeriodStatus.OPEN:
            blocked = is_blocked(one.terms.enforcement, use, enforcing=enforcing)
            opens.append((one, use))
        if blocked != was_blocked:
            changed[blocked] += 1
            _log.info(
                "quota_enforcement",
                action="blocked" if blocked else "released",
                user_id=one.terms.user_id,
                metric_type=one.terms.metric_type,
                used=use.taken,
                limit=use.granted,
            )
        uses.append((one.id, ledger, blocked))
    update_uses(session, uses, now=now)
    alert_thresholds(session, opens, now=now)
    return RefreshReport(len(uses), changed[True], changed[False])
