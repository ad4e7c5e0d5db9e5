"""Gather what the mirror knows of a customer."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing_worker.domains.customers.queries.links import find_user_of
from billing_worker.domains.customers.queries.trials import list_trials
from billing_worker.mirror.objects import get_object, list_objects

AT_MOST = 100


def describe_customer(session: Session, customer_id: str) -> dict[str, object]:
    """Describe a customer with its user, subscriptions, payment methods and tax ids.

    Raises: NotMirroredError.
    """
    found = get_object(session, "customer", customer_id)
    data = found.data
    link = find_user_of(session, customer_id)
    subscriptions = list_objects(session, "subscription", where={"customer_id": customer_id}, limit=AT_MOST)
    methods = list_objects(session, "payment_method", where={"customer_id": customer_id}, limit=AT_MOST)
    tax_ids = list_objects(session, "tax_id", where={"customer_id": customer_id}, limit=AT_MOST)
    default = (data.get("invoice_settings") or {}).get("default_payment_method") or data.get("default_source")
    own_trials = [trial for trial in list_trials(session, customer_id) if trial.customer_id == customer_id]
    return {
        "customer": customer_id,
        "user": None if link is None else link.user_id,
        "email": data.get("email"),
        "name": data.get("name"),
        "deleted_at": found.deleted_at,
        "livemode": data.get("livemode"),
        "delinquent": data.get("delinquent"),
        "currency": data.get("currency"),
        "balance_minor": data.get("balance"),
        "address": data.get("address"),
        "tax_exempt": data.get("tax_exempt"),
        "tax_ids": [f"{one.data.get('type')} {one.data.get('value')}" for one in tax_ids],
        "default_payment_method": default["id"] if isinstance(default, dict) else default,
        "payment_methods": [_method_label(one.id, one.data.get("card") or {}) for one in methods],
        "subscriptions": [f"{one.id} {one.data.get('status')}" for one in subscriptions],
        "trial_used": bool(own_trials),
        "synced_at": found.synced_at,
    }


def _method_label(method_id: str, card: dict[str, object]) -> str:
    return f"{method_id} {card.get('brand')} …{card.get('last4')}" if card else method_id
