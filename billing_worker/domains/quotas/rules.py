"""Rules of quotas: which periods follow each other, what rolls over, when a user is blocked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from billing_worker.domains.quotas.errors import InvalidQuotaError
from billing_worker.domains.quotas.states import Enforcement
from billing_worker.kernel.periods import Period, PeriodKind, billing_period_containing, period_containing

KINDS = (PeriodKind.DAY, PeriodKind.WEEK, PeriodKind.MONTH, PeriodKind.BILLING)
LIMIT_MAX = 2**63 - 1
NEAR_PERCENT = 80
"""From here on an operator should look: a fifth is left."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a billing period starts and how many months it lasts: the subscription's, counted in UTC as Stripe does."""

    at: datetime
    months: int


@dataclass(frozen=True, slots=True)
class QuotaTerms:
    """What a quota grants: so many units of a metric per period."""

    user_id: str
    metric_type: str
    kind: PeriodKind
    limit_value: int
    enforcement: Enforcement = Enforcement.HARD
    rollover: bool = False
    anchor: Anchor | None = None


@dataclass(frozen=True, slots=True)
class PeriodUse:
    """What a period granted and what was used of it."""

    limit_value: int
    rolled_over: int
    used_value: int

    @property
    def granted(self) -> int:
        """Return the units of the period, with what rolled over."""
        return self.limit_value + self.rolled_over

    @property
    def remaining(self) -> int:
        """Return the units left, never less than none."""
        return max(0, self.granted - self.used_value)


@dataclass(frozen=True, slots=True)
class QuotaMark:
    """Usage that changed: whose, of what, and since when."""

    user_id: str
    metric_type: str
    since: datetime


def check_terms(terms: QuotaTerms) -> None:
    """Refuse terms that no quota can have.

    Raises: InvalidQuotaError naming the field and a right example.
    """
    if terms.kind not in KINDS:
        raise InvalidQuotaError("period", f"{terms.kind} is none of {', '.join(KINDS)}; for example month")
    if not 0 <= terms.limit_value <= LIMIT_MAX:
        raise InvalidQuotaError("limit", f"{terms.limit_value} is not between 0 and {LIMIT_MAX}; for example 1000")
    if not terms.user_id or not terms.user_id.isprintable():
        raise InvalidQuotaError("user", f"{terms.user_id!r} is no user id; for example user123")
    if (terms.kind is PeriodKind.BILLING) != (terms.anchor is not None):
        raise InvalidQuotaError("period", "a billing period, and only that, has an anchor")


def period_of(terms: QuotaTerms, instant: datetime, zone: ZoneInfo) -> Period:
    """Find the regular period of an instant."""
    if terms.anchor is not None:
        return billing_period_containing(terms.anchor.at, instant, months=terms.anchor.months)
    return period_containing(terms.kind, instant, zone)


def following_periods(terms: QuotaTerms, end: datetime, now: datetime, zone: ZoneInfo) -> list[Period]:
    """List the periods after one that ended, up to the one that contains now.

    Shape: each starts where the one before ended, so a history has neither gap nor overlap, even if the zone or the
    anchor was changed in between; the first is then shorter.
    """
    periods = []
    while end <= now:
        period = Period(end, period_of(terms, end, zone).end)
        periods.append(period)
        end = period.end
    return periods


def compute_rollover(before: PeriodUse) -> int:
    """Compute the units carried into the next period: what was left, at most one period's limit."""
    return min(before.limit_value, before.remaining)


def is_blocked(enforcement: Enforcement, use: PeriodUse, *, enforcing: bool) -> bool:
    """Say whether a user must be refused: enforcement is on and not one unit is left."""
    return enforcing and enforcement is Enforcement.HARD and use.remaining == 0


def describe_use(use: PeriodUse, *, blocked: bool) -> str:
    """Say in one word how a quota stands: blocked, exceeded, used_up, near or ok."""
    if blocked:
        return "blocked"
    if use.used_value > use.granted:
        return "exceeded"
    if use.remaining == 0:
        return "used_up"
    return "near" if use.used_value * 100 >= use.granted * NEAR_PERCENT else "ok"
