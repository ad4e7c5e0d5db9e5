"""Gather what the mirror knows of a payment method."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing_worker.domains.payment_methods.queries import find_last_decline
from billing_worker.mirror.objects import find_object, get_object


def describe_payment_method(session: Session, payment_method_id: str) -> dict[str, object]:
    """Describe a payment method with its customer and its last decline.

    Raises: NotMirroredError.
    """
    found = get_object(session, "payment_method", payment_method_id)
    customer = found.data.get("customer")
    customer_id = customer["id"] if isinstance(customer, dict) else customer
    owner = find_object(session, "customer", str(customer_id)) if customer_id else None
    settings = (owner.data.get("invoice_settings") or {}) if owner else {}
    card = found.data.get("card") or {}
    decline = find_last_decline(session, payment_method_id)
    return {
        "payment_method": payment_method_id,
        "type": found.data.get("type"),
        "customer": customer_id,
        "is_default": settings.get("default_payment_method") == payment_method_id,
        "brand": card.get("brand"),
        "last4": card.get("last4"),
        "expires": f"{card['exp_month']:02}/{card['exp_year']}" if card.get("exp_month") else None,
        "funding": card.get("funding"),
        "country": card.get("country"),
        "last_decline": None if decline is None else decline.code,
        "last_declined_at": None if decline is None else decline.failed_at,
        "livemode": found.data.get("livemode"),
        "synced_at": found.synced_at,
    }
