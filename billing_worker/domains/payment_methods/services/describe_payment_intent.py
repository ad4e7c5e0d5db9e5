"""Gather what the mirror knows of a payment intent."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing_worker.domains.payment_methods.rules import list_payment_facts
from billing_worker.mirror.objects import get_object


def describe_payment_intent(session: Session, payment_intent_id: str) -> dict[str, object]:
    """Describe a payment intent.

    Raises: NotMirroredError.
    """
    found = get_object(session, "payment_intent", payment_intent_id)
    return list_payment_facts(found.data) | {"synced_at": found.synced_at}
