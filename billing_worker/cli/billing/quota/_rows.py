"""What the quota commands print of a period."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_worker.domains.quotas.rules import describe_use
from billing_worker.domains.quotas.states import Reason

if TYPE_CHECKING:
    from billing_worker.domains.quotas.gate import Decision
    from billing_worker.domains.quotas.queries.comparisons import PastUse
    from billing_worker.domains.quotas.queries.holds import Holds
    from billing_worker.domains.quotas.queries.periods import QuotaPeriod
    from billing_worker.domains.quotas.rules import QuotaTerms
    from billing_worker.domains.quotas.services.compare_quota import QuotaComparison
    from billing_worker.domains.quotas.services.probe_enforcement import ProbedCase
    from billing_worker.domains.quotas.services.take_units import Taken
    from billing_worker.domains.usage.states import Formula


def quota_row(one: QuotaPeriod) -> dict[str, object]:
    """Return a quota's terms and its open period."""
    return {
        "user": one.terms.user_id,
        "metric": one.terms.metric_type,
        "period": one.terms.kind,
        "limit": one.terms.limit_value,
        "enforcement": one.terms.enforcement,
        "rollover": one.terms.rollover,
        "fail_mode": one.terms.fail_mode,
        "alert_at": ",".join(map(str, one.terms.alert_at_percent)),
        "from_plan": one.terms.from_price_id,
        "anchor_at": one.terms.anchor.at if one.terms.anchor else None,
        "period_start": one.period.start,
        "period_end": one.period.end,
        "rolled_over": one.use.rolled_over,
        "used": one.use.used_value,
        "unsettled": one.use.spent - one.use.settled,
        "held": one.use.held,
        "remaining": one.use.remaining,
        "blocked_at": one.blocked_at,
    }


def status_row(one: QuotaPeriod) -> dict[str, object]:
    """Return how a quota stands."""
    return {
        "user": one.terms.user_id,
        "metric": one.terms.metric_type,
        "state": describe_use(one.use, blocked=one.blocked_at is not None),
        "used": one.use.used_value,
        "unsettled": one.use.spent - one.use.settled,
        "held": one.use.held,
        "granted": one.use.granted,
        "remaining": one.use.remaining,
        "blocked_at": one.blocked_at,
        "resets_at": one.period.end,
    }


def reset_row(one: QuotaPeriod) -> dict[str, object]:
    """Return a closed period: one reset."""
    return {
        "user": one.terms.user_id,
        "metric": one.terms.metric_type,
        "period": one.kind,
        "period_start": one.period.start,
        "period_end": one.period.end,
        "used": one.use.used_value,
        "granted": one.use.granted,
        "was_blocked": one.blocked_at is not None,
        "reset_at": one.closed_at,
        "reset_by": one.closed_by,
    }


def try_row(user: str, metric: str, taken: Taken) -> dict[str, object]:
    """Return what a check of one unit would answer."""
    one = taken.period
    return {
        "user": user,
        "metric": metric,
        "allowed": taken.reason is not Reason.USED_UP,
        "reason": taken.reason,
        "remaining": one.use.available + (taken.reason is Reason.GRANTED) if one else None,
        "granted": one.use.granted if one else None,
        "resets_at": one.period.end if one else None,
    }


def decision_row(user: str, metric: str, units: int, decision: Decision) -> dict[str, object]:
    """Return the answer to a check that counted."""
    return {
        "user": user,
        "metric": metric,
        "units": units,
        "allowed": decision.allowed,
        "reason": decision.reason,
        "decided_by": decision.decided_by,
        "remaining": decision.remaining,
        "granted": decision.limit,
        "resets_at": decision.resets_at,
    }


def case_row(case: ProbedCase) -> dict[str, object]:
    """Return one check that was tried."""
    return {
        "user": case.period.terms.user_id,
        "metric": case.period.terms.metric_type,
        "enforcement": case.period.terms.enforcement,
        "case": case.case,
        "units": case.units,
        "expected": "allowed" if case.expected else "refused",
        "answered": "allowed" if case.answered else "refused",
        "reason": case.reason,
    }


def comparison_row(one: QuotaComparison) -> dict[str, object]:
    """Return a counter beside what it was made of."""
    return {
        "user": one.period.terms.user_id,
        "metric": one.period.terms.metric_type,
        "period_start": one.period.period.start,
        "period_end": one.period.period.end,
        "counter": one.period.use.used_value,
        "rollups": one.rollups,
        "raw": one.raw.value,
        "records": one.raw.records,
        "waiting": one.raw.waiting,
        "differs": one.differs,
    }


def calculation_row(one: QuotaPeriod, holds: Holds, formula: Formula) -> dict[str, object]:
    """Return every figure between what is granted and what is left, and the sum in words."""
    use = one.use
    return {
        "user": one.terms.user_id,
        "metric": one.terms.metric_type,
        "formula": formula,
        "period": one.kind,
        "period_start": one.period.start,
        "period_end": one.period.end,
        "limit": use.limit_value,
        "rolled_over": use.rolled_over,
        "granted": use.granted,
        "recorded": use.used_value,
        "spent_by_checks": use.spent,
        "settled_by_records": use.settled,
        "taken": use.taken,
        "leased": holds.leased,
        "leases": holds.leases,
        "reserved": holds.reserved,
        "reservations": holds.reservations,
        "available": use.available,
        "why": (
            f"{use.granted} granted - ({use.used_value} recorded + {use.spent} spent - {use.settled} settled) "
            f"- {use.held} held = {use.granted - use.taken - use.held}"
        ),
    }


def replay_row(use: PastUse, limit: int) -> dict[str, object]:
    """Return one period that a limit would have cut short."""
    return {
        "user": use.user_id,
        "period_start": use.opens_at,
        "period_end": use.closes_at,
        "used": use.total,
        "over": use.total - limit,
        "blocked_at": use.blocked_at,
        "exact": use.is_exact,
    }


def plan_row(price: str, terms: QuotaTerms, applied: int) -> dict[str, object]:
    """Return a plan's terms and how many users got them at once."""
    return {
        "price": price,
        "metric": terms.metric_type,
        "period": terms.kind,
        "limit": terms.limit_value,
        "enforcement": terms.enforcement,
        "rollover": terms.rollover,
        "fail_mode": terms.fail_mode,
        "alert_at": ",".join(map(str, terms.alert_at_percent)),
        "users": applied,
    }
