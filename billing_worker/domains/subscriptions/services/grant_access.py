"""End an operator's revocation."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.subscriptions.models import CustomerAccess
from billing_worker.domains.subscriptions.queries import list_subscriptions_of, lock_access
from billing_worker.domains.subscriptions.rules import compute_entitlement


def grant_access(session: Session, customer_id: str, *, now: datetime) -> CustomerAccess:
    """Give back what the customer's subscriptions entitle to, which may be nothing.

    Locks: the customer's access, before the subscriptions are read.
    """
    row = lock_access(session, "", [customer_id], now)[customer_id]
    states = list_subscriptions_of(session, "", [customer_id])
    entitlement = compute_entitlement(states[customer_id])
    row.access, row.price_ids = entitlement.access, list(entitlement.price_ids)
    row.subscription_id, row.computed_at = entitlement.subscription_id, now
    row.overridden_by = row.override_reason = None
    return row
