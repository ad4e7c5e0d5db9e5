"""Close periods that have ended and open what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries import period_changes as changes
from billing_worker.domains.quotas.queries.period_changes import NewPeriod
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.rules import (
    LIMIT_MAX,
    PeriodUse,
    compute_rollover,
    following_periods,
    is_blocked,
)
from billing_worker.domains.quotas.settlement import Ledger, measure
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan
from billing_worker.domains.usage.services.measure_usage import measure_usage
from billing_worker.kernel.periods import Period

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AdvanceReport:
    """How many periods were closed, how many were passed over while nobody looked, how many users were released."""

    closed: int
    passed: int
    released: int


def advance_periods(
    session: Session,
    ended: Sequence[QuotaPeriod],
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    closed_by: str,
    now: datetime,
) -> AdvanceReport:
    """Close open periods that have ended and open their successors up to the one that contains now.

    Shape: `ended` periods are locked by the caller, with their quotas; blocks end with their period.
    Idempotent by: one row per quota and period start; a second one is an error, never a second reset.
    """
    if not ended:
        return AdvanceReport(0, 0, 0)
    chains = [_chain(period, now, zone) for period in ended]
    spans = [
        UsageSpan(period.terms.user_id, period.terms.metric_type, span)
        for period, chain in zip(ended, chains, strict=True)
        for span in chain
    ]
    measured = iter(measure_usage(session, spans, metrics=metrics, zone=zone))
    uses: list[tuple[int, Ledger, bool]] = []
    opening: list[NewPeriod] = []
    for period, chain in zip(ended, chains, strict=True):
        used = [min(next(measured).value, LIMIT_MAX) for _ in chain]
        ledger = measure(period.use.ledger, used[0], held=period.use.held, settles=period.terms.settles)
        uses.append((period.id, ledger, period.blocked_at is not None))
        before = period.use.with_ledger(ledger, held=period.use.held)
        opening += _successors(period, before, chain, used, enforcing=enforcing, closed_by=closed_by)
    changes.update_uses(session, uses, now=now)
    closing = [(period.id, period.period.end) for period in ended]
    changes.close_periods(session, closing, closed_by=closed_by, now=now)
    changes.insert_periods(session, opening, now=now)
    blocked_again = {new.quota_id for new in opening if new.blocked}
    released = [period for period in ended if period.blocked_at and period.quota_id not in blocked_again]
    for period in released:
        _log.info(
            "quota_enforcement",
            action="released",
            user_id=period.terms.user_id,
            metric_type=period.terms.metric_type,
            closed_by=closed_by,
        )
    return AdvanceReport(len(ended), len(opening) - len(ended), len(released))


def _chain(period: QuotaPeriod, now: datetime, zone: ZoneInfo) -> list[Period]:
    return [period.period, *following_periods(period.terms, period.period.end, now, zone)]


def _successors(
    period: QuotaPeriod,
    before: PeriodUse,
    chain: Sequence[Period],
    used: Sequence[int],
    *,
    enforcing: bool,
    closed_by: str,
) -> list[NewPeriod]:
    """Build the rows after a closed period: all but the last are over already."""
    terms = period.terms
    rows = []
    for span, used_value in zip(chain[1:], used[1:], strict=True):
        use = PeriodUse(terms.limit_value, compute_rollover(before) if terms.rollover else 0, used_value)
        last = span is chain[-1]
        rows.append(
            NewPeriod(
                quota_id=period.quota_id,
                terms=terms,
                period=span,
                use=use,
                blocked=last and is_blocked(terms.enforcement, use, enforcing=enforcing),
                closed_by=None if last else closed_by,
            )
        )
        before = use
    return rows
