"""Payment intents, charges, refunds, disputes and the account's balance."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document, counted_list, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, check_metadata, listing, merge, merge_metadata, retrieve
from billing_worker.sandbox.core.routes import PAGE, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.amounts import check_charge, check_currency
from billing_worker.sandbox.engine.blanks import BLANK_INTENT, fresh
from billing_worker.sandbox.engine.capturing import capture
from billing_worker.sandbox.engine.cards import create_method, find_method
from billing_worker.sandbox.engine.charging import cancel_intent, check_owner, new_intent, whole_shipping
from billing_worker.sandbox.engine.collecting import collect
from billing_worker.sandbox.engine.debits import confirm_any, create_debit_method
from billing_worker.sandbox.engine.disputes import decide_dispute
from billing_worker.sandbox.engine.funds import account_balance
from billing_worker.sandbox.engine.refunds import refund_charge
from billing_worker.sandbox.operations.payment_methods import attach, automatic_methods


def create_intent(call: Call) -> Document:
    """Create a payment intent, and confirm it when asked."""
    session, params = call.session, call.params
    currency = check_currency(params["currency"])
    check_charge(params["amount"], currency)
    customer = params.get("customer")
    if customer:
        session.get("customer", customer, param="customer")
    method = _given_method(session, params)
    if method is not None:
        check_owner(method, customer)
    intent = new_intent(
        session,
        amount_minor=params["amount"],
        currency=currency,
        customer=customer,
        description=params.get("description"),
        metadata=check_metadata(params.get("metadata")),
        capture_method=params.get("capture_method", "automatic_async"),
        confirmation_method=params.get("confirmation_method", "automatic"),
        payment_method=method["id"] if method else None,
        payment_method_types=params.get("allowed_payment_method_types") or ["card"],
        receipt_email=params.get("receipt_email"),
        setup_future_usage=params.get("setup_future_usage"),
        **automatic_methods(params),
        _return_url=params.get("return_url"),
        payment_method_options=_options(params),
        transfer_group=params.get("transfer_group"),
        shipping=whole_shipping(params.get("shipping")),
    )
    if params.get("confirm"):
        carry_out(session, intent, method)
    return intent


def _options(params: dict[str, Any]) -> Document:
    options = fresh(BLANK_INTENT)["payment_method_options"]
    for kind, given in (params.get("payment_method_options") or {}).items():
        options[kind] = options.get(kind, {}) | (given or {})
    return dict(options)


def confirm_intent(call: Call) -> Document:
    """Confirm a payment intent; an invoice's own pays the invoice."""
    session = call.session
    intent = session.get("payment_intent", call.id)
    intent["_return_url"] = call.params.get("return_url")
    method = _given_method(session, {"payment_method": intent["payment_method"]} | call.params)
    carry_out(session, intent, method)
    return intent


def capture_intent(call: Call) -> Document:
    """Capture a payment intent whose money is held."""
    intent = call.session.get("payment_intent", call.id)
    merge_metadata(intent, call.params)
    capture(call.session, intent, call.params.get("amount_to_capture"))
    return intent


def update_intent(call: Call) -> Document:
    """Update a payment intent that has not been confirmed."""
    intent = call.session.get("payment_intent", call.id)
    assign(intent, call.params, "amount description receipt_email")
    merge_metadata(intent, call.params)
    return intent


def cancel(call: Call) -> Document:
    """Cancel a payment intent."""
    intent = call.session.get("payment_intent", call.id)
    if intent.get("_invoice"):
        raise invalid("You cannot cancel the PaymentIntent of an invoice: void the invoice instead.")
    cancel_intent(call.session, intent, call.params.get("cancellation_reason"))
    return intent


def update_charge(call: Call) -> Document:
    """Update a charge."""
    charge = call.session.get("charge", call.id)
    assign(charge, call.params, "description receipt_email")
    merge_metadata(charge, call.params)
    call.session.tell_changes(charge)
    return charge


def create_refund(call: Call) -> Document:
    """Refund a charge, in whole or in part."""
    session, params = call.session, call.params
    if "charge" in params:
        charge = session.get("charge", params["charge"], param="charge")
    elif "payment_intent" in params:
        intent = session.get("payment_intent", params["payment_intent"], param="payment_intent")
        if not intent["latest_charge"]:
            raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
        charge = session.get("charge", intent["latest_charge"])
    else:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    return refund_charge(
        session,
        charge,
        amount_minor=params.get("amount"),
        reason=params.get("reason"),
        metadata=check_metadata(params.get("metadata")),
    )


def update_refund(call: Call) -> Document:
    """Update a refund's metadata."""
    refund = call.session.get("refund", call.id)
    merge_metadata(refund, call.params)
    told = len(call.session.events)
    call.session.tell_changes(refund)
    if len(call.session.events) > told:
        call.session.echo("charge.refund.updated")
    return refund


def update_dispute(call: Call) -> Document:
    """Add evidence; the words winning_evidence and losing_evidence decide at once, as in Stripe's test mode."""
    dispute = call.session.get("dispute", call.id)
    merge(dispute, call.params, "evidence")
    merge_metadata(dispute, call.params)
    if call.params.get("evidence"):
        dispute["evidence_details"] = dispute["evidence_details"] | {"has_evidence": True}
    if call.params.get("submit", True) and call.params.get("evidence"):
        count = dispute["evidence_details"]["submission_count"] + 1
        dispute["evidence_details"] = dispute["evidence_details"] | {"submission_count": count}
        word = dispute["evidence"]["uncategorized_text"]
        if word in {"winning_evidence", "losing_evidence"}:
            decide_dispute(call.session, dispute, is_won=word == "winning_evidence")
        else:
            dispute["status"] = "under_review"
    call.session.tell_changes(dispute)
    return dispute


def close_dispute(call: Call) -> Document:
    """Accept a dispute as lost."""
    dispute = call.session.get("dispute", call.id)
    if dispute["status"] in {"won", "lost", "warning_closed"}:
        raise invalid("This dispute is already closed.")
    decide_dispute(call.session, dispute, is_won=False)
    return dispute


def balance(call: Call) -> Document:
    """Return the account's balance."""
    return account_balance(call.session)


def retrieve_entry(call: Call) -> Document:
    """Return a line of the balance, available once its time has come."""
    return _aged(call.session.get("balance_transaction", call.id), call.session.now)


def list_entries(call: Call) -> Document:
    """List lines of the balance."""
    listed = listing("balance_transaction", "/v1/balance_transactions", "type", "source", "currency")(call)
    return listed | {"data": [_aged(entry, call.session.now) for entry in listed["data"]]}


def refunds_of(session: Session, charge: Document) -> Document:
    """Give a charge's `refunds`, which are left out unless expanded."""
    refunds = session.peek("refund", "charge", charge["id"])
    return counted_list((public(refund) for refund in reversed(refunds)), f"/v1/charges/{charge['id']}/refunds")


def _aged(entry: Document, now: int) -> Document:
    return dict(entry) | {"status": "available" if entry["available_on"] <= now else "pending"}


def _given_method(session: Session, params: dict[str, Any]) -> Document | None:
    if params.get("payment_method"):
        return find_method(session, params["payment_method"])
    data = params.get("payment_method_data")
    if not data:
        return None
    return create_method(session, data) if data["type"] == "card" else create_debit_method(session, data)


def carry_out(session: Session, intent: Document, method: Document | None) -> None:
    """Confirm an intent with a payment method; an invoice's own pays the invoice.

    Raises: ApiError for a decline.
    """
    if method is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    check_owner(method, intent["customer"])
    if intent.get("_invoice"):
        refusal = collect(session, session.get("invoice", intent["_invoice"]), method=method, is_automatic=False)
    else:
        refusal = confirm_any(session, intent, method)
    if refusal is not None and refusal.code != "authentication_required":
        raise refusal
    if refusal is None and intent["setup_future_usage"] and intent["customer"] and method["customer"] is None:
        attach(session, method, intent["customer"])


_INTENT_TAKES = (
    "amount currency customer payment_method confirm description metadata receipt_email setup_future_usage off_session "
    "automatic_payment_methods return_url confirmation_method capture_method error_on_requires_action shipping "
    "transfer_group allowed_payment_method_types payment_method_data payment_method_options mandate_data"
)

OPERATIONS = [
    route("POST", "/v1/payment_intents", create_intent, _INTENT_TAKES),
    route(
        "GET", "/v1/payment_intents", listing("payment_intent", "/v1/payment_intents", "customer"), f"{PAGE} customer"
    ),
    route("GET", "/v1/payment_intents/{intent}", retrieve("payment_intent"), "client_secret"),
    route("POST", "/v1/payment_intents/{intent}", update_intent, "amount description receipt_email metadata"),
    route(
        "POST",
        "/v1/payment_intents/{intent}/confirm",
        confirm_intent,
        "payment_method payment_method_data return_url off_session mandate_data",
    ),
    route("POST", "/v1/payment_intents/{intent}/capture", capture_intent, "amount_to_capture metadata"),
    route("POST", "/v1/payment_intents/{intent}/cancel", cancel, "cancellation_reason"),
    route(
        "GET",
        "/v1/charges",
        listing("charge", "/v1/charges", "customer", "payment_intent"),
        f"{PAGE} customer payment_intent",
    ),
    route("GET", "/v1/charges/{charge}", retrieve("charge")),
    route("POST", "/v1/charges/{charge}", update_charge, "description receipt_email metadata"),
    route("POST", "/v1/refunds", create_refund, "charge payment_intent amount reason metadata"),
    route(
        "GET",
        "/v1/refunds",
        listing("refund", "/v1/refunds", "charge", "payment_intent"),
        f"{PAGE} charge payment_intent",
    ),
    route("GET", "/v1/refunds/{refund}", retrieve("refund")),
    route("POST", "/v1/refunds/{refund}", update_refund, "metadata"),
    route("GET", "/v1/balance", balance),
    route("GET", "/v1/balance_transactions", list_entries, f"{PAGE} type source currency"),
    route("GET", "/v1/balance_transactions/{id}", retrieve_entry),
    route(
        "GET",
        "/v1/disputes",
        listing("dispute", "/v1/disputes", "charge", "payment_intent"),
        f"{PAGE} charge payment_intent",
    ),
    route("GET", "/v1/disputes/{dispute}", retrieve("dispute")),
    route("POST", "/v1/disputes/{dispute}", update_dispute, "evidence metadata submit"),
    route("POST", "/v1/disputes/{dispute}/close", close_dispute),
]
