"""Find what a billing-period quota follows."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.errors import NoBillingAnchorError
from billing_worker.domains.quotas.queries.anchors import find_subscription_rhythm
from billing_worker.domains.quotas.rules import Anchor

_MONTHS = {"month": 1, "year": 12}


def find_billing_anchor(session: Session, user_id: str) -> Anchor:
    """Read anchor and length of the billing period from the user's subscription in the mirror.

    Raises: NoBillingAnchorError when there is no such subscription, or it is billed by days or weeks.
    Source: https://docs.stripe.com/billing/subscriptions/billing-cycle
    """
    rhythm = find_subscription_rhythm(session, user_id)
    if rhythm is None or rhythm.anchor_at is None:
        raise NoBillingAnchorError(user_id, "no living subscription of a linked customer is in the mirror")
    if rhythm.interval not in _MONTHS:
        raise NoBillingAnchorError(user_id, f"{rhythm.subscription_id} is billed by {rhythm.interval}, not by months")
    return Anchor(rhythm.anchor_at, _MONTHS[rhythm.interval] * (rhythm.interval_count or 1))
