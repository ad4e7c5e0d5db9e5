"""What a card's holder answers when the bank asks: no part of Stripe's API, where a page asks."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.setups import confirm_setup
from billing_worker.sandbox.operations.payment_methods import attach
from billing_worker.sandbox.operations.payments import carry_out


def authenticate(session: Session, intent_id: str, *, succeeds: bool) -> Document:
    """Let the holder approve a payment or set-up intent, or fail to; what follows, a decline too, is a fact.

    Raises: ApiError for an intent that waits for nobody.
    """
    kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
    intent = session.get(kind, intent_id)
    if intent["status"] != "requires_action":
        raise invalid(f"{intent_id} has a status of {intent['status']}: nobody has to authenticate it.")
    if not succeeds:
        return _failed(session, intent)
    intent["_is_authenticated"] = True
    method = session.get("payment_method", intent["payment_method"])
    try:
        if kind == "payment_intent":
            carry_out(session, intent, method)
        elif (refusal := confirm_setup(session, intent, method)) is not None:
            raise refusal
        elif intent["customer"]:
            attach(session, method, intent["customer"])
    except ApiError as declined:
        if not declined.keeps_changes:
            raise
    return intent


def _failed(session: Session, intent: Document) -> Document:
    what, error, event = {
        "payment_intent": ("payment_intent", "last_payment_error", "payment_intent.payment_failed"),
        "setup_intent": ("setup_intent", "last_setup_error", "setup_intent.setup_failed"),
    }[intent["object"]]
    refusal = invalid(
        "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new "
        f"PaymentMethod to attempt to fulfill this {'PaymentIntent' if what == 'payment_intent' else 'SetupIntent'} "
        "again.",
        code=f"{what}_authentication_failure",
    )
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        error: refusal.body()["error"],
    }
    session.tell(event, intent)
    if intent.get("_invoice"):
        session.tell("invoice.payment_failed", session.get("invoice", intent["_invoice"]))
    return intent
