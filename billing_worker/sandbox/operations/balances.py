"""What Stripe keeps for customers: their credit balance and the cash they have transferred."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import check_metadata
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.routes import CURSOR, Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.collecting import fund_payment
from billing_worker.sandbox.engine.customer_balance import change_balance
from billing_worker.sandbox.engine.debits import create_debit_method
from billing_worker.sandbox.engine.invoices import default_payment

_CASH = "_cash_balance"
"""A cash balance has no id of its own, so it is kept under its customer's."""


def adjust(call: Call) -> Document:
    """Adjust a customer's credit balance by hand."""
    session, params = call.session, call.params
    customer = session.get("customer", call.id)
    currency = params["currency"].lower()
    if customer["currency"] not in {None, currency}:
        raise invalid(f"This customer's currency is {customer['currency']}.", param="currency")
    customer["currency"] = currency
    return change_balance(
        session,
        customer,
        params["amount"],
        kind="adjustment",
        description=params.get("description"),
        metadata=check_metadata(params.get("metadata")),
    )


def list_adjustments(call: Call) -> Document:
    """List the lines of a customer's credit balance."""
    return _listed(call, "customer_balance_transaction", "balance_transactions")


def retrieve_cash(call: Call) -> Document:
    """Return a customer's cash balance."""
    call.session.get("customer", call.id)
    return _cash_view(call.session, call.id)


def list_cash(call: Call) -> Document:
    """List the movements of a customer's cash."""
    return _listed(call, "customer_cash_balance_transaction", "cash_balance_transactions")


def fund_cash(call: Call) -> Document:
    """Let a bank transfer of a customer arrive, and pay with it what waits for one."""
    session, params = call.session, call.params
    call.session.get("customer", call.id)
    amount, currency = params["amount"], params["currency"].lower()
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", param="amount")
    reference = params.get("reference") or token(12).upper()
    funded = {"bank_transfer": {"reference": reference, "type": f"{currency[:2]}_bank_transfer"}}
    movement = _move(session, call.id, currency, amount, kind="funded", funded=funded)
    left = amount
    for intent in session.select("payment_intent", "customer", call.id):
        if left and _waits(intent, currency):
            left = _apply(session, intent, left)
    for invoice in session.select("invoice", "customer", call.id):
        if left and _is_payable(invoice, currency, left):
            intent = _intent_of(session, invoice)
            left = _apply(session, intent, left)
    if left:
        session.tell("cash_balance.funds_available", _cash_view(session, call.id))
    return movement


def _apply(session: Session, intent: Document, amount_minor: int) -> int:
    rest = fund_payment(session, intent, amount_minor)
    applied = {"payment_intent": intent["id"]}
    owner, currency = str(intent["customer"]), str(intent["currency"])
    _move(session, owner, currency, rest - amount_minor, kind="applied_to_payment", applied_to_payment=applied)
    return rest


def _is_payable(invoice: Document, currency: str, amount_minor: int) -> bool:
    # Source: Stripe documentation, “Customer balance reconciliation”: open invoices that take bank transfers.
    types = invoice["payment_settings"]["payment_method_types"] or []
    return (
        invoice["status"] == "open"
        and "customer_balance" in types
        and invoice["currency"] == currency
        and invoice["amount_remaining"] <= amount_minor
    )


def _intent_of(session: Session, invoice: Document) -> Document:
    payment = default_payment(session, invoice)
    if payment is None:
        raise RuntimeError(f"open invoice {invoice['id']} has no payment")
    intent = session.get("payment_intent", payment["payment"]["payment_intent"])
    method = create_debit_method(session, {"type": "customer_balance"})
    intent |= {"payment_method": method["id"], "payment_method_types": ["customer_balance"]}
    return intent


def _waits(intent: Document, currency: str) -> bool:
    action = intent["next_action"] or {}
    return action.get("type") == "display_bank_transfer_instructions" and intent["currency"] == currency


def _move(session: Session, customer_id: str, currency: str, amount_minor: int, **given: Document | str) -> Document:
    cash = session.find(_CASH, customer_id) or session.add({"id": customer_id, "object": _CASH, "available": {}})
    cash["available"][currency] = cash["available"].get(currency, 0) + amount_minor
    kind = given.pop("kind")
    return session.add(
        {
            "id": new_id("customer_cash_balance_transaction"),
            "object": "customer_cash_balance_transaction",
            "created": session.now,
            "currency": currency,
            "customer": customer_id,
            "customer_account": None,
            "ending_balance": cash["available"][currency],
            "livemode": False,
            "net_amount": amount_minor,
            "type": kind,
        }
        | given,
        "customer_cash_balance_transaction.created",
    )


def _cash_view(session: Session, customer_id: str) -> Document:
    cash = session.find(_CASH, customer_id)
    available = {currency: amount for currency, amount in (cash or {"available": {}})["available"].items() if amount}
    return {
        "object": "cash_balance",
        "available": available or None,
        "customer": customer_id,
        "customer_account": None,
        "livemode": False,
        "settings": {"reconciliation_mode": "automatic", "using_merchant_default": True},
    }


def _listed(call: Call, kind: str, name: str) -> Document:
    call.session.get("customer", call.id)
    found = call.session.scan(kind, lambda entry: bool(entry["customer"] == call.id))
    return page(found, call.params, f"/v1/customers/{call.id}/{name}", kind=kind)


OPERATIONS = [
    route("POST", "/v1/customers/{customer}/balance_transactions", adjust, "amount currency description metadata"),
    route("GET", "/v1/customers/{customer}/balance_transactions", list_adjustments, CURSOR),
    route("GET", "/v1/customers/{customer}/cash_balance", retrieve_cash),
    route("GET", "/v1/customers/{customer}/cash_balance_transactions", list_cash, CURSOR),
    route("POST", "/v1/test_helpers/customers/{customer}/fund_cash_balance", fund_cash, "amount currency reference"),
]
