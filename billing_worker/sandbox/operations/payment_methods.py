"""Payment methods and setup intents: how a customer comes to have something to pay with."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.families import listing, merge, merge_metadata, retrieve
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.cards import card_of, create_method, find_method
from billing_worker.sandbox.engine.charging import ADVICE
from billing_worker.sandbox.engine.debits import create_debit_method
from billing_worker.sandbox.engine.setups import confirm_setup, new_setup_intent


def create(call: Call) -> Document:
    """Create a payment method from a test card or a test IBAN."""
    kind = call.params.get("type", "card")
    if kind in {"sepa_debit", "customer_balance"}:
        return create_debit_method(call.session, call.params)
    if kind != "card":
        raise invalid("The sandbox has payment methods of type card, sepa_debit and customer_balance.", param="type")
    return create_method(call.session, call.params)


def attach(session: Session, method: Document, customer_id: str) -> Document:
    """Attach a payment method to a customer."""
    session.get("customer", customer_id, param="customer")
    if method["type"] == "customer_balance":
        raise invalid(
            "PaymentMethods of type `customer_balance` cannot be attached to a Customer.", param="payment_method"
        )
    if method["customer"] not in {None, customer_id} or method.get("_was_detached"):
        raise invalid(
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
            "Customer, and may not be used again.",
            param="payment_method",
        )
    if method["customer"] is None:
        if method["type"] == "card":
            _check_bank(session, method)
        method["customer"] = customer_id
        session.tell("payment_method.attached", method, is_last=True)
    return method


def attach_operation(call: Call) -> Document:
    """Attach a payment method, or the test card it names, to a customer."""
    if "customer" not in call.params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    try:
        method = find_method(call.session, call.id)
    except ApiError as error:
        raise ApiError(
            f"{error}; It's possible this PaymentMethod exists on one of your connected accounts, in which case you "
            "should retry this request on that connected account. Learn more at "
            "https://stripe.com/docs/connect/authentication",
            status=404,
            code=error.code,
            param="payment_method",
            is_executed=False,
        ) from error
    return attach(call.session, method, call.params["customer"])


def _check_bank(session: Session, method: Document) -> None:
    # Source: Stripe documentation, “Test cards”: declining ones cannot be attached; 0341 alone declines later.
    card = card_of(method)
    if card.fails_on_setup and not session.settings.remembers_declining_cards:
        extra = {"decline_code": card.decline_code, **ADVICE}
        raise ApiError(card.message, status=402, kind="card_error", code=card.code, param="", extra=extra)


def detach(call: Call) -> Document:
    """Detach a payment method; nothing can be paid with it any more."""
    session = call.session
    method = session.get("payment_method", call.id)
    if method["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    customer = session.get("customer", method["customer"])
    if customer["invoice_settings"]["default_payment_method"] == call.id:
        customer["invoice_settings"]["default_payment_method"] = None
        session.tell_changes(customer)
    for subscription in session.select("subscription", "customer", customer["id"]):
        if subscription["default_payment_method"] == call.id:
            subscription["default_payment_method"] = None
            session.tell_changes(subscription)
    method |= {"customer": None, "_was_detached": True}
    session.tell("payment_method.detached", method, with_previous=True)
    return method


def update(call: Call) -> Document:
    """Update a payment method's billing details, expiry and metadata."""
    method = call.session.get("payment_method", call.id)
    merge(method, call.params, "billing_details", "card")
    merge_metadata(method, call.params)
    call.session.tell_changes(method)
    return method


def automatic_methods(params: dict[str, Any]) -> Document:
    """Tell whether an intent offers what the account offers: since 2023-08-16, unless the types are named."""
    if "allowed_payment_method_types" in params:
        return {"automatic_payment_methods": None, "payment_method_configuration_details": None}
    given: Document = params.get("automatic_payment_methods") or {}
    return {
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True} | given,
        "payment_method_configuration_details": {"id": "pmc_sandbox", "parent": None},
    }


def create_setup_intent(call: Call) -> Document:
    """Create a setup intent, and confirm it when asked."""
    session, params = call.session, call.params
    if customer := params.get("customer"):
        session.get("customer", customer, param="customer")
    method = find_method(session, params["payment_method"]) if "payment_method" in params else None
    intent = new_setup_intent(
        session,
        customer,
        description=params.get("description"),
        metadata=params.get("metadata") or {},
        payment_method=method["id"] if method else None,
        payment_method_types=params.get("allowed_payment_method_types") or ["card"],
        **automatic_methods(params),
        _return_url=params.get("return_url"),
        status="requires_confirmation" if method else "requires_payment_method",
        usage=params.get("usage", "off_session"),
    )
    if params.get("confirm"):
        _confirm(session, intent, method)
    return intent


def confirm_setup_intent(call: Call) -> Document:
    """Confirm a setup intent."""
    intent = call.session.get("setup_intent", call.id)
    intent["_return_url"] = call.params.get("return_url")
    named = call.params.get("payment_method") or intent["payment_method"]
    _confirm(call.session, intent, find_method(call.session, named) if named else None)
    return intent


def cancel_setup_intent(call: Call) -> Document:
    """Cancel a setup intent that has not succeeded."""
    intent = call.session.get("setup_intent", call.id)
    if intent["status"] in {"succeeded", "canceled"}:
        raise ApiError(
            f"You cannot cancel this SetupIntent because it has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
            extra={"setup_intent": public(intent)},
        )
    intent |= {"status": "canceled", "cancellation_reason": call.params.get("cancellation_reason")}
    call.session.tell("setup_intent.canceled", intent)
    return intent


def _confirm(session: Session, intent: Document, method: Document | None) -> None:
    if intent["status"] in {"succeeded", "canceled"}:
        raise ApiError(
            f"You cannot confirm this SetupIntent because it has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
            extra={"setup_intent": public(intent)},
        )
    if method is None:
        raise invalid(
            "You cannot confirm this SetupIntent because it's missing a payment method.",
            code="parameter_missing",
            param="payment_method",
        )
    refusal = confirm_setup(session, intent, method)
    if refusal is not None:
        raise refusal
    if intent["status"] == "succeeded" and intent["customer"]:
        attach(session, method, intent["customer"])


def _attached(method: Document, params: Document) -> bool:
    # Without a customer Stripe lists the account's own methods only, never every customer's.
    return bool(method["customer"]) or "customer" not in params


OPERATIONS = [
    route(
        "POST",
        "/v1/payment_methods",
        create,
        "type card sepa_debit customer_balance billing_details metadata allow_redisplay",
    ),
    route(
        "GET",
        "/v1/payment_methods",
        listing("payment_method", "/v1/payment_methods", "customer", "type", where=_attached),
        f"{CURSOR} customer type",
    ),
    route("GET", "/v1/payment_methods/{payment_method}", retrieve("payment_method")),
    route("POST", "/v1/payment_methods/{payment_method}", update, "billing_details card metadata"),
    route("POST", "/v1/payment_methods/{payment_method}/attach", attach_operation, "customer"),
    route("POST", "/v1/payment_methods/{payment_method}/detach", detach),
    route(
        "POST",
        "/v1/setup_intents",
        create_setup_intent,
        "customer payment_method confirm description metadata usage automatic_payment_methods return_url "
        "allowed_payment_method_types",
    ),
    route(
        "GET",
        "/v1/setup_intents",
        listing("setup_intent", "/v1/setup_intents", "customer", "payment_method"),
        f"{PAGE} customer payment_method",
    ),
    route("GET", "/v1/setup_intents/{intent}", retrieve("setup_intent")),
    route("POST", "/v1/setup_intents/{intent}/confirm", confirm_setup_intent, "payment_method return_url"),
    route("POST", "/v1/setup_intents/{intent}/cancel", cancel_setup_intent, "cancellation_reason"),
]
