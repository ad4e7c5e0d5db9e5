"""Payment intents and their charges."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.amounts import part_of
from billing_worker.sandbox.engine.balance import book
from billing_worker.sandbox.engine.blanks import BLANK_CHARGE, BLANK_INTENT, fresh
from billing_worker.sandbox.engine.cards import PLAIN, Card, card_at
from billing_worker.sandbox.engine.disputes import open_dispute
from billing_worker.sandbox.engine.funds import account_balance

_FEE_BPS = 290
_FEE_FIXED_MINOR = 30
"""Source: Stripe's standard US price, 2.9 % + 30 ¢."""
_HOLD_SECONDS = 7 * 86_400
"""Source: Stripe documentation, “Place a hold on a payment method”: seven days for most cards."""
_RISK_SCORES = {"normal": 20, "elevated": 70, "highest": 95}
ADVICE: Document = {"advice_code": "try_again_later", "network_decline_code": "01"}
"""What an issuer's refusal carries besides its code."""


def new_intent(session: Session, *, amount_minor: int, currency: str, **given: Any) -> Document:  # noqa: ANN401 - JSON values
    """Create a payment intent and tell of it.

    Source: github.com/stripe/stripe-python/issues/1183: a test clock drives what is billed, not payments.
    """
    intent_id = new_id("payment_intent")
    intent: Document = (
        fresh(BLANK_INTENT)
        | {
            "id": intent_id,
            "object": "payment_intent",
            "amount": amount_minor,
            "client_secret": f"{intent_id}_secret_{token(24)}",
            "created": session.recorded_at,
            "currency": currency,
        }
        | given
    )
    if intent["payment_method"]:
        intent["status"] = "requires_confirmation"
    return session.add(intent, "payment_intent.created")


def confirm(session: Session, intent: Document, method: Document) -> ApiError | None:
    """Charge a payment method for an intent; a refusal is returned, not raised, because it is a fact to keep."""
    if intent["status"] in {"succeeded", "canceled"}:
        raise ApiError(
            f"You cannot confirm this PaymentIntent because it has already {_past(intent['status'])}.",
            code="payment_intent_unexpected_state",
            extra={"payment_intent": public(intent)},
        )
    intent["payment_method"] = method["id"]
    card = card_at(method, session.now)
    if card.needs_action and not intent.get("_is_authenticated"):
        return _require_action(session, intent)
    charge = new_charge(session, intent, method, card)
    intent["latest_charge"] = charge["id"]
    if card.decline_code:
        return _decline(session, intent, method, charge, card)
    if intent["capture_method"] == "manual":
        _hold(session, intent, charge)
        return None
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "next_action": None,
    }
    session.tell("charge.succeeded", charge)
    session.tell("payment_intent.succeeded", intent)
    settle_funds(session, charge, is_instant=card.is_instant)
    if card.dispute_reason:
        open_dispute(session, charge, card.dispute_reason)
    return None


def cancel_intent(session: Session, intent: Document, reason: str | None) -> None:
    """Cancel an intent that has not succeeded."""
    if intent["status"] in {"succeeded", "canceled"}:
        raise ApiError(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent "
            "with one of the following statuses may be canceled: requires_payment_method, requires_capture, "
            "requires_confirmation, requires_action, processing.",
            code="payment_intent_unexpected_state",
            extra={"payment_intent": public(intent)},
        )
    intent |= {
        "status": "canceled",
        "canceled_at": session.recorded_at,
        "cancellation_reason": reason,
        "next_action": None,
    }
    session.tell("payment_intent.canceled", intent)


def whole_shipping(shipping: Document | None) -> Document | None:
    """Fill what a shipping address leaves out."""
    if not shipping:
        return None
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    blank = dict.fromkeys(("carrier", "name", "phone", "tracking_number"))
    return blank | shipping | {"address": address | (shipping.get("address") or {})}


def pick_method(session: Session, *candidates: str | None) -> Document | None:
    """Return the first payment method named."""
    for candidate in candidates:
        if candidate:
            return session.get("payment_method", candidate, param="payment_method")
    return None


def check_owner(method: Document, customer_id: str | None) -> None:
    """Refuse a payment method that another customer holds."""
    if method["customer"] not in {None, customer_id}:
        raise invalid(
            f"The payment method {method['id']} does not belong to the customer {customer_id}.",
            param="payment_method",
        )


def _past(status: str) -> str:
    return "succeeded" if status == "succeeded" else "been canceled"


def next_action(intent: Document) -> Document:
    """Tell where the card's holder goes: to a page when the request brought an address to return to."""
    if return_url := intent.get("_return_url"):
        url = f"https://hooks.stripe.com/3d_secure_2/hosted?merchant=acct_sandbox&payment_intent={intent['id']}"
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {
            "directory_server_name": "visa",
            "merchant": "acct_sandbox",
            "one_click_authn": None,
            "server_transaction_id": token(24),
            "three_d_secure_2_source": f"src_{token(24)}",
            "three_ds_method_url": "",
            "type": "stripe_3ds2_fingerprint",
        },
    }


def _require_action(session: Session, intent: Document) -> ApiError:
    intent |= {
        "status": "requires_action",
        "next_action": next_action(intent),
    }
    session.tell("payment_intent.requires_action", intent)
    return ApiError(
        "This payment requires additional user action before it can be completed successfully.",
        status=402,
        kind="card_error",
        code="authentication_required",
        extra={"decline_code": "authentication_required", "payment_intent": public(intent)},
        keeps_changes=True,
    )


def _decline(session: Session, intent: Document, method: Document, charge: Document, card: Card) -> ApiError:
    error: Document = {"decline_code": card.decline_code, "charge": charge["id"], "payment_method": public(method)}
    refusal = ApiError(
        card.message,
        status=402,
        kind="card_error",
        code=card.code,
        extra={**error, **ADVICE},
        keeps_changes=True,
    )
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": refusal.body()["error"],
        "next_action": None,
    }
    session.tell("charge.failed", charge)
    session.tell("payment_intent.payment_failed", intent)
    refusal.extra["payment_intent"] = public(intent)
    return refusal


def new_charge(session: Session, intent: Document, method: Document, card: Card = PLAIN) -> Document:
    """Add the charge of an attempt, not yet told of."""
    declined = card.decline_code is not None
    charge_id = new_id("charge")
    return session.add(
        fresh(BLANK_CHARGE)
        | {
            "id": charge_id,
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": 0 if declined else intent["amount"],
            "billing_details": method["billing_details"],
            "captured": not declined,
            "created": session.recorded_at,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "failure_code": card.code if declined else None,
            "failure_message": card.message if declined else None,
            "metadata": dict(intent["metadata"]),
            "outcome": _outcome(card),
            "paid": not declined,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": {"type": method["type"], method["type"]: _details(method, intent["amount"])},
            "receipt_email": intent["receipt_email"],
            "shipping": intent["shipping"],
            "receipt_url": None if declined else f"https://pay.stripe.com/receipts/{charge_id}",
            "status": "failed" if declined else "succeeded",
            "transfer_group": intent["transfer_group"],
        }
    )


def _outcome(card: Card) -> Document:
    declined = card.decline_code is not None
    return {
        "advice_code": "try_again_later" if declined else None,
        "network_advice_code": None,
        "network_decline_code": "01" if declined else None,
        "network_status": "declined_by_network" if declined else "approved_by_network",
        "reason": card.decline_code,
        "risk_level": card.risk,
        "risk_score": _RISK_SCORES[card.risk],
        "seller_message": "The bank did not return any further details with this decline."
        if declined
        else "Payment complete.",
        "type": "issuer_declined" if declined else "authorized",
    }


def _hold(session: Session, intent: Document, charge: Document) -> None:
    charge |= {"captured": False, "amount_captured": 0}
    if "card" in charge["payment_method_details"]:
        charge["payment_method_details"]["card"]["capture_before"] = session.recorded_at + _HOLD_SECONDS
    intent |= {
        "status": "requires_capture",
        "amount_capturable": intent["amount"],
        "last_payment_error": None,
        "next_action": None,
    }
    session.tell("charge.succeeded", charge)
    session.tell("payment_intent.amount_capturable_updated", intent)


def _details(method: Document, amount_minor: int) -> Document:
    if method["type"] != "card":
        return dict(method[method["type"]])
    card = method["card"]
    kept = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "wallet")
    return {key: card[key] for key in kept} | {
        "amount_authorized": amount_minor,
        "authorization_code": token(6).upper(),
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "overcapture": {"maximum_amount_capturable": amount_minor, "status": "unavailable"},
        "network_transaction_id": token(15),
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "transaction_link_id": None,
    }


def settle_funds(session: Session, charge: Document, *, is_instant: bool = False) -> None:
    """Book a charge's money, at once available for the test card that skips the waiting."""
    # Stripe fills the balance transaction in afterwards, so charge.succeeded shows null and charge.updated follows.
    fee_minor = part_of(charge["amount_captured"], _FEE_BPS, 10_000) + _FEE_FIXED_MINOR
    entry = book(session, charge, kind="charge", amount_minor=charge["amount_captured"], fee_minor=fee_minor)
    charge["balance_transaction"] = entry["id"]
    session.tell_changes(charge)
    if is_instant:
        entry["available_on"] = session.now
        session.tell("balance.available", account_balance(session))
