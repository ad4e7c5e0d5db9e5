"""Reactions to customers."""

from __future__ import annotations

from billing_worker.kernel.events import DirtyDraft, Snapshot

CUSTOMER_USER = "customer_user"
"""The mark on customers that name their user and may not be linked with him yet."""


def on_customer(snapshot: Snapshot) -> list[DirtyDraft]:
    """Mark a customer whose metadata name a user."""
    if snapshot.deleted or not (snapshot.data.get("metadata") or {}).get("user_id"):
        return []
    return [DirtyDraft(CUSTOMER_USER, snapshot.object_id)]
