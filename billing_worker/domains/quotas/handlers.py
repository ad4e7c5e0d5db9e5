"""Reactions to subscriptions: a plan's quotas follow it."""

from __future__ import annotations

from billing_worker.domains.quotas.states import PLAN_MARK
from billing_worker.kernel.events import DirtyDraft, Snapshot


def on_subscription(snapshot: Snapshot) -> list[DirtyDraft]:
    """Mark the customer of a changed subscription: its prices may grant other quotas."""
    if snapshot.customer_id is None:
        return []
    return [DirtyDraft(PLAN_MARK, snapshot.customer_id)]
