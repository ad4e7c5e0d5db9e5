"""What the quota commands print of a period."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_worker.domains.quotas.rules import describe_use

if TYPE_CHECKING:
    from billing_worker.domains.quotas.queries.periods import QuotaPeriod


def quota_row(one: QuotaPeriod) -> dict[str, object]:
    """Return a quota's terms and its open period."""
    return {
        "user": one.terms.user_id,
        "metric": one.terms.metric_type,
        "period": one.terms.kind,
        "limit": one.terms.limit_value,
        "enforcement": one.terms.enforcement,
        "rollover": one.terms.rollover,
        "anchor_at": one.terms.anchor.at if one.terms.anchor else None,
        "period_start": one.period.start,
        "period_end": one.period.end,
        "rolled_over": one.use.rolled_over,
        "used": one.use.used_value,
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
