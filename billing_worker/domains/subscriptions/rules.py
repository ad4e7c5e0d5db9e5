"""Access as a pure function of a customer's subscriptions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from billing_worker.domains.subscriptions.states import Access

_OF_STATUS = {"active": Access.GRANTED, "trialing": Access.GRANTED, "past_due": Access.GRACE}
"""Source: Stripe documentation, “How subscriptions work”, subscription statuses; all others give no access."""

_RANK = {Access.GRANTED: 2, Access.GRACE: 1, Access.NONE: 0}


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """What access depends on."""

    subscription_id: str
    status: str
    price_id: str | None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a customer's subscriptions add up to; `subscription_id` is the one that gives the most."""

    access: Access
    price_ids: tuple[str, ...]
    subscription_id: str | None


def compute_entitlement(subscriptions: Iterable[SubscriptionState]) -> Entitlement:
    """Add up subscriptions: the best status decides, the prices of all that give access count."""
    giving = sorted(
        (
            (_OF_STATUS[one.status], one.subscription_id, one.price_id)
            for one in subscriptions
            if one.status in _OF_STATUS
        ),
        key=lambda entry: (-_RANK[entry[0]], entry[1]),
    )
    if not giving:
        return Entitlement(Access.NONE, (), None)
    prices = sorted({price_id for _, _, price_id in giving if price_id is not None})
    return Entitlement(giving[0][0], tuple(prices), giving[0][1])
