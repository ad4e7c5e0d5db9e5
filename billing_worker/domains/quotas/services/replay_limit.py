"""Ask who would have been blocked by a limit."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.errors import InvalidQuotaError
from billing_worker.domains.quotas.queries.comparisons import PastUse, list_past_uses
from billing_worker.domains.quotas.rules import QuotaTerms, check_terms, period_of
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.domains.usage.states import Formula
from billing_worker.kernel.periods import Period

PERIODS_AT_MOST = 400
"""A year of days; more is asked in parts."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a limit would have done: the periods looked at, every use in them, and those that would have blocked."""

    periods: tuple[Period, ...]
    uses: tuple[PastUse, ...]

    @property
    def blocked(self) -> tuple[PastUse, ...]:
        """Return the uses that would have ended in a block."""
        return tuple(use for use in self.uses if use.blocked_at is not None)


def replay_limit(
    session: Session,
    terms: QuotaTerms,
    span: Period,
    *,
    everybody: bool,
    metrics: MetricCatalog,
    zone: ZoneInfo,
) -> Replay:
    """Replay the real usage of every period that touches a span against new terms; nothing is changed.

    Shape: users are blocked when their last unit goes, as a hard quota does; rollover is left out.
    Raises: UnknownMetricError, InvalidQuotaError.
    """
    if metrics.get(terms.metric_type).formula is not Formula.SUM:
        raise InvalidQuotaError("metric", f"{terms.metric_type} is not summed; only what is summed can be replayed")
    check_terms(terms)
    if terms.limit_value == 0:
        raise InvalidQuotaError("limit", "0 blocks everybody from the start; for example 1000")
    periods = [period_of(terms, span.start, zone)]
    while periods[-1].end < span.end:
        periods.append(period_of(terms, periods[-1].end, zone))
        if len(periods) > PERIODS_AT_MOST:
            raise InvalidQuotaError("span", f"it has more than {PERIODS_AT_MOST} periods; choose a shorter one")
    user_id = None if everybody else terms.user_id
    uses = list_past_uses(session, terms.metric_type, terms.limit_value, periods, user_id=user_id)
    return Replay(tuple(periods), tuple(uses))
