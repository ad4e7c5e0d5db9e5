"""Tasks of quotas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.lease_store import LeaseStore
from billing_worker.domains.quotas.queries.leases import count_expired_leases
from billing_worker.domains.quotas.queries.marks import count_usage_marks
from billing_worker.domains.quotas.queries.plans import count_plan_marks
from billing_worker.domains.quotas.queries.reservations import list_quotas_of_expired
from billing_worker.domains.quotas.queries.resets import count_due_resets
from billing_worker.domains.quotas.services.apply_changed_plans import apply_changed_plans
from billing_worker.domains.quotas.services.prune_grants import prune_grants
from billing_worker.domains.quotas.services.refresh_quota_usage import refresh_quota_usage
from billing_worker.domains.quotas.services.reset_due_quotas import CLOSED_BY_JOB, reset_due_quotas
from billing_worker.domains.quotas.services.settle_expired_leases import settle_expired_leases
from billing_worker.domains.usage.services.aggregate_usage import aggregate_usage
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import QUOTAS
from billing_worker.worker.tasks import task

RESET_DUE = "quotas.reset_due"
REFRESH_USAGE = "quotas.refresh_usage"
APPLY_PLANS = "quotas.apply_plans"
SETTLE_LEASES = "quotas.settle_leases"
SETTLE_AFTER = timedelta(seconds=5)
"""By then the spenders of a lease have reported, so that one look is enough even after a flush of Redis."""


@task(RESET_DUE, queue=QUOTAS, soft_limit_seconds=240, hard_limit_seconds=300)
def reset_due(container: Container, *, due_at: str | None = None) -> Mapping[str, object]:
    """Reset every quota whose period has ended, after settling and aggregating what belongs to the ended ones.

    Idempotent by: one row per quota and period start.
    """
    settings, metrics = container.settings, load_metrics()
    settle_expired_leases(
        container.unit_of_work, LeaseStore(container.redis), enforcing=settings.quota_enforcement_enabled
    )
    aggregate_usage(container.unit_of_work, metrics=metrics, zone=settings.billing_timezone)
    report = reset_due_quotas(
        container.unit_of_work,
        metrics=metrics,
        zone=settings.billing_timezone,
        enforcing=settings.quota_enforcement_enabled,
        closed_by=f"{CLOSED_BY_JOB} {due_at}" if due_at else CLOSED_BY_JOB,
    )
    return {"closed": report.closed, "passed": report.passed, "released": report.released, "slot": due_at}


@task(REFRESH_USAGE, queue=QUOTAS, soft_limit_seconds=120, hard_limit_seconds=180)
def refresh_usage(container: Container) -> Mapping[str, object]:
    """Measure the quotas whose usage was aggregated since, and block or release their users.

    Idempotent by: used values are measured from the rollups, never added up.
    """
    report = refresh_quota_usage(
        container.unit_of_work,
        metrics=load_metrics(),
        zone=container.settings.billing_timezone,
        enforcing=container.settings.quota_enforcement_enabled,
    )
    return {"periods": report.periods, "blocked": report.blocked, "released": report.released}


@task(SETTLE_LEASES, queue=QUOTAS, soft_limit_seconds=120, hard_limit_seconds=180)
def settle_leases(container: Container) -> Mapping[str, object]:
    """Take back what expired leases and forgotten reservations hold, and delete what ended a week ago.

    Idempotent by: a lease and a reservation end once.
    """
    report = settle_expired_leases(
        container.unit_of_work, LeaseStore(container.redis), enforcing=container.settings.quota_enforcement_enabled
    )
    deleted = prune_grants(container.unit_of_work)
    return {"settled": report.settled, "lost": report.lost, "quotas": report.quotas, "deleted": deleted}


@task(APPLY_PLANS, queue=QUOTAS, soft_limit_seconds=240, hard_limit_seconds=300)
def apply_plans(container: Container, *, due_at: str | None = None) -> Mapping[str, object]:
    """Give users what their plans grant: those whose subscription changed, and once an hour whoever has other quotas.

    Idempotent by: quotas that are right already are left alone.
    """
    changed = apply_changed_plans(
        container.unit_of_work,
        everybody=due_at is not None,
        metrics=load_metrics(),
        zone=container.settings.billing_timezone,
        enforcing=container.settings.quota_enforcement_enabled,
    )
    return {"changed": changed, "slot": due_at}


def _due_resets(session: Session, now: datetime) -> int:
    return count_due_resets(session, now, limit=1)


def _expired_grants(session: Session, now: datetime) -> int:
    return count_expired_leases(session, before=now - SETTLE_AFTER, limit=1) or len(
        list_quotas_of_expired(session, now=now, limit=1)
    )


def _plan_marks(session: Session, _now: datetime) -> int:
    return count_plan_marks(session, limit=1)


def _usage_marks(session: Session, _now: datetime) -> int:
    return count_usage_marks(session, limit=1)


PROBES: tuple[Probe, ...] = (
    Probe("usage_marks", REFRESH_USAGE, QUOTAS, _usage_marks),
    Probe("quota_plans", APPLY_PLANS, QUOTAS, _plan_marks),
    Probe("expired_quota_leases", SETTLE_LEASES, QUOTAS, _expired_grants),
    Probe("due_quota_resets", RESET_DUE, QUOTAS, _due_resets),
)
