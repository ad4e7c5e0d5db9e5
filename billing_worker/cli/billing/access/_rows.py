"""A user's access as commands show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions.models import CustomerAccess


def access_facts(user: str, row: CustomerAccess) -> dict[str, object]:
    """Describe a user's access."""
    return {
        "user": user,
        "customer": row.customer_id,
        "access": row.access.value,
        "prices": row.price_ids,
        "subscription": row.subscription_id,
        "overridden_by": row.overridden_by,
        "override_reason": row.override_reason,
        "computed_at": row.computed_at,
    }
