"""Try whether a user's quotas are enforced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries.periods import QuotaPeriod, get_open_periods_of_user
from billing_worker.domains.quotas.rules import UNITS_MAX
from billing_worker.domains.quotas.services.try_units import try_units
from billing_worker.domains.quotas.states import Enforcement, Reason
from billing_worker.domains.usage.rules import MetricCatalog


@dataclass(frozen=True, slots=True)
class ProbedCase:
    """One check that was tried: what the limit calls for, and what was answered."""

    period: QuotaPeriod
    case: str
    units: int
    expected: bool
    answered: bool
    reason: Reason


def probe_enforcement(
    session: Session,
    user_id: str,
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> list[ProbedCase]:
    """Ask for one unit, for all that is left and for one more than that, on the path of real checks; nothing counts.

    Raises: QuotaNotFoundError.
    """
    cases = []
    for one in get_open_periods_of_user(session, user_id):
        metric = one.terms.metric_type
        first = try_units(session, user_id, metric, 1, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
        if first.period is None:
            continue
        left = first.period.use.available + (first.reason is Reason.GRANTED)
        is_bounded = enforcing and one.terms.enforcement is Enforcement.HARD
        sizes = {"one unit": 1, "all that is left": left, "one more than is left": left + 1}
        for case, units in sizes.items():
            if not 1 <= units <= UNITS_MAX:
                continue
            taken = try_units(session, user_id, metric, units, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
            expected = not is_bounded or units <= left
            cases.append(ProbedCase(one, case, units, expected, taken.reason is not Reason.USED_UP, taken.reason))
    return cases
