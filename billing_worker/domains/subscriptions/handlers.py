"""Reactions to subscriptions."""

from __future__ import annotations

from billing_worker.kernel.events import DirtyDraft, Snapshot

CUSTOMER_ACCESS = "customer_access"
"""The mark on customers whose access must be computed anew."""


def on_subscription(snapshot: Snapshot) -> list[DirtyDraft]:
    """Mark the customer of a changed subscription."""
    if snapshot.customer_id is None:
        return []
    return [DirtyDraft(CUSTOMER_ACCESS, snapshot.customer_id)]
