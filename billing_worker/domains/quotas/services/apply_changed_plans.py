"""Bring quotas up to plans that changed."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.queries import plans as queries
from billing_worker.domains.quotas.services.apply_plan_quotas import apply_plan_quotas
from billing_worker.domains.usage.rules import MetricCatalog

USERS_PER_ROUND = 200
ROUNDS_AT_MOST = 500
"""A user whose plan cannot be applied (no anchor to follow) is found again each time."""


def apply_changed_plans(
    unit_of_work: UnitOfWork, *, everybody: bool, metrics: MetricCatalog, zone: ZoneInfo, enforcing: bool
) -> int:
    """Apply the plans of marked customers; `everybody` also finds users that were linked or plans that were set since.

    Phases: one transaction per round; marks go with their round.
    """
    changed = 0
    for _ in range(ROUNDS_AT_MOST):
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            marks, users = queries.claim_marked_users(session, limit=USERS_PER_ROUND)
            changed += apply_plan_quotas(session, users, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
        if not marks:
            break
    for _ in range(ROUNDS_AT_MOST if everybody else 0):
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            users = set(queries.list_users_to_apply(session, limit=USERS_PER_ROUND))
            moved = apply_plan_quotas(session, users, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
        changed += moved
        if not moved:
            break
    return changed
