"""Setup intents: a payment method prepared for later charges."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import ApiError
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.cards import card_of
from billing_worker.sandbox.engine.charging import next_action


def new_setup_intent(session: Session, customer_id: str | None, **given: Any) -> Document:  # noqa: ANN401 - JSON values
    """Create a setup intent without a payment method, and tell of it."""
    intent_id = new_id("setup_intent")
    return session.add(
        {
            "id": intent_id,
            "object": "setup_intent",
            "application": None,
            "automatic_payment_methods": None,
            "cancellation_reason": None,
            "client_secret": f"{intent_id}_secret_{token(24)}",
            "created": session.recorded_at,
            "customer": customer_id,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": "off_session",
        }
        | given,
        "setup_intent.created",
    )


def confirm_setup(session: Session, intent: Document, method: Document) -> ApiError | None:
    """Check a payment method for an intent; a refusal is returned, because it is a fact to keep."""
    card = card_of(method)
    intent["payment_method"] = method["id"]
    if card.needs_action and not intent.get("_is_authenticated"):
        intent |= {"status": "requires_action", "next_action": next_action(intent)}
        session.tell("setup_intent.requires_action", intent)
        return None
    if card.fails_on_setup:
        return _failed(session, intent, method)
    intent |= {"status": "succeeded", "next_action": None, "last_setup_error": None}
    session.tell("setup_intent.succeeded", intent)
    return None


def _failed(session: Session, intent: Document, method: Document) -> ApiError:
    card = card_of(method)
    refusal = ApiError(
        card.message,
        status=402,
        kind="card_error",
        code=card.code,
        extra={"decline_code": card.decline_code, "payment_method": public(method)},
        keeps_changes=True,
    )
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_setup_error": refusal.body()["error"],
    }
    session.tell("setup_intent.setup_failed", intent)
    refusal.extra["setup_intent"] = public(intent)
    return refusal
