"""Tell customers something that is about nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.rules import NEWS_LASTS, general_key, kind_of
from billing_worker.domains.notifications.states import Template
from billing_worker.effects.drafts import EffectOfEvent, insert_effects
from billing_worker.kernel.events import EffectDraft
from billing_worker.kernel.keys import object_key


def request_general_message(
    session: Session, customer_ids: Sequence[str], template: Template, *, occasion: str, now: datetime
) -> int:
    """Store that customers are to be told, and return how many were not told of this occasion yet.

    Idempotent by: template, customer and occasion: a run that broke off is repeated, and nobody reads it twice.
    """
    drafts = [
        EffectDraft(
            key=general_key(template, customer_id, occasion),
            kind=kind_of(template),
            object_key=object_key("", "customer", customer_id),
            customer_id=customer_id,
            payload={},
            not_after=now + NEWS_LASTS,
        )
        for customer_id in customer_ids
    ]
    return insert_effects(session, [EffectOfEvent("", None, draft) for draft in drafts], now)
