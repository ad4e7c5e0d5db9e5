"""Take a customer's access away, whatever the subscriptions say."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.subscriptions.models import CustomerAccess
from billing_worker.domains.subscriptions.queries import lock_access
from billing_worker.domains.subscriptions.states import Access


def revoke_access(session: Session, customer_id: str, *, by: str, reason: str, now: datetime) -> CustomerAccess:
    """Revoke access until it is granted again; nothing changes at Stripe, subscriptions go on.

    Idempotent by: the row: who revoked first and why stays.
    Locks: the customer's access.
    """
    row = lock_access(session, "", [customer_id], now)[customer_id]
    if row.access is not Access.REVOKED:
        row.access, row.overridden_by, row.override_reason, row.computed_at = Access.REVOKED, by, reason, now
    return row
