"""What an invoice belongs to."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document


def subscription_parent(subscription: Document) -> Document:
    """Describe the subscription as an invoice's parent."""
    return {
        "type": "subscription_details",
        "quote_details": None,
        "subscription_details": {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]},
    }
