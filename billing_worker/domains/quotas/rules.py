"""Rules of quotas: which periods follow each other, what rolls over, when a user is blocked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from billing_worker.domains.quotas.errors import InvalidQuotaError
from billing_worker.domains.quotas.settlement import Ledger
from billing_worker.domains.quotas.states import Enforcement, FailMode
from billing_worker.kernel.periods import Period, PeriodKind, billing_period_containing, period_containing

KINDS = (PeriodKind.DAY, PeriodKind.WEEK, PeriodKind.MONTH, PeriodKind.BILLING)
LIMIT_MAX = 2**63 - 1
UNITS_MAX = 10**12
"""One check takes so much at most, far below where numbers of Redis's scripts stop being exact."""

ALERT_AT = (80, 100)
ALERT_MAX = 1000
NEAR_PERCENT = 80
"""From here on an operator should look: a fifth is left."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a billing period starts and how many months it lasts: the subscription's, counted in UTC as Stripe does."""

    at: datetime
    months: int


@dataclass(frozen=True, slots=True)
class QuotaTerms:
    """What a quota grants: so many units of a metric per period.

    Shape: `settles` says that recorded usage is the use of units granted by checks; `from_price_id` that the terms
    come from the user's plan.
    """

    user_id: str
    metric_type: str
    kind: PeriodKind
    limit_value: int
    enforcement: Enforcement = Enforcement.HARD
    rollover: bool = False
    anchor: Anchor | None = None
    fail_mode: FailMode = FailMode.CLOSED
    alert_at_percent: tuple[int, ...] = ALERT_AT
    settles: bool = True
    from_price_id: str | None = None


@dataclass(frozen=True, slots=True)
class PeriodUse:
    """What a period grants and what was taken of it: recorded, spent by checks, held by leases and reservations."""

    limit_value: int
    rolled_over: int
    used_value: int
    spent: int = 0
    settled: int = 0
    credit: int = 0
    held: int = 0

    @property
    def granted(self) -> int:
        """Return the units of the period, with what rolled over."""
        return self.limit_value + self.rolled_over

    @property
    def ledger(self) -> Ledger:
        """Return what settlement works on."""
        return Ledger(self.used_value, self.spent, self.settled, self.credit)

    @property
    def taken(self) -> int:
        """Return the units that are gone: recorded, or granted and not recorded yet."""
        return self.ledger.taken

    @property
    def remaining(self) -> int:
        """Return the units left, never less than none; held ones are not gone yet."""
        return max(0, self.granted - self.taken)

    @property
    def available(self) -> int:
        """Return the units that can still be granted."""
        return max(0, self.granted - self.taken - self.held)

    def with_ledger(self, ledger: Ledger, *, held: int) -> PeriodUse:
        """Return the use after settlement."""
        return replace(
            self,
            used_value=ledger.used,
            spent=ledger.spent,
            settled=ledger.settled,
            credit=ledger.credit,
            held=held,
        )


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
    check_thresholds(terms.alert_at_percent)
    if (terms.kind is PeriodKind.BILLING) != (terms.anchor is not None):
        raise InvalidQuotaError("period", "a billing period, and only that, has an anchor")


def check_units(units: int) -> None:
    """Refuse a number of units that nobody can take.

    Raises: InvalidQuotaError.
    """
    if not 1 <= units <= UNITS_MAX:
        raise InvalidQuotaError("units", f"{units} is not a whole number from 1 to {UNITS_MAX}; for example 1")


def check_thresholds(percents: Sequence[int]) -> None:
    """Refuse thresholds of alerts that make no sense.

    Raises: InvalidQuotaError.
    """
    if any(not 1 <= percent <= ALERT_MAX for percent in percents) or len(set(percents)) != len(percents):
        shown = ",".join(map(str, percents))
        problem = f"{shown} are not different percentages between 1 and {ALERT_MAX}; for example 80,100"
        raise InvalidQuotaError("alert-at", problem)


def reached_thresholds(percents: Sequence[int], use: PeriodUse) -> list[int]:
    """List the thresholds that what was taken has reached; a limit of nothing has none."""
    return [percent for percent in sorted(percents) if use.granted and use.taken * 100 >= use.granted * percent]


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
    """Compute the units carried into the next period: what was left and held by nobody, at most one period's limit."""
    return min(before.limit_value, before.available)


def is_blocked(enforcement: Enforcement, use: PeriodUse, *, enforcing: bool) -> bool:
    """Say whether a user must be refused: enforcement is on and not one unit is left."""
    return enforcing and enforcement is Enforcement.HARD and use.remaining == 0


def describe_use(use: PeriodUse, *, blocked: bool) -> str:
    """Say in one word how a quota stands: blocked, exceeded, used_up, near or ok."""
    if blocked:
        return "blocked"
    if use.taken > use.granted:
        return "exceeded"
    if use.remaining == 0:
        return "used_up"
    return "near" if use.taken * 100 >= use.granted * NEAR_PERCENT else "ok"
