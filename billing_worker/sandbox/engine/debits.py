"""Payment methods that take days or wait for a transfer: SEPA debits and bank transfers into a cash balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from billing_worker.sandbox.core.documents import Document, clone
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.cards import BLANK_BILLING
from billing_worker.sandbox.engine.charging import confirm, new_charge, settle_funds

_LATER_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Debit:
    """What a test IBAN does. Source: Stripe documentation, “SEPA Direct Debit: test your integration”."""

    settles_after_seconds: int = 0
    failure: str | None = None


_IBANS = {
    "AT611904300234573201": Debit(),
    "AT321904300235473204": Debit(_LATER_SECONDS),
    "AT861904300235473202": Debit(failure="debit_not_authorized"),
    "AT051904300235473205": Debit(_LATER_SECONDS, "debit_not_authorized"),
    "IT40S0542811101000000123456": Debit(),
    "IT60X0542811101000000123456": Debit(failure="debit_not_authorized"),
    "DE89370400440532013000": Debit(),
    "DE62370400440532013001": Debit(failure="debit_not_authorized"),
}


def create_debit_method(session: Session, params: dict[str, Any]) -> Document:
    """Make a payment method of type sepa_debit or customer_balance.

    Raises: ApiError for IBANs that are none of Stripe's test ones.
    """
    kind = params["type"]
    billing = params.get("billing_details") or {}
    document: Document = {
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": clone(BLANK_BILLING) | billing,
        "created": session.now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "type": kind,
        kind: _sepa(params, billing) if kind == "sepa_debit" else {},
    }
    if kind == "sepa_debit":
        document["_iban"] = str(params["sepa_debit"]["iban"]).replace(" ", "")
    return session.add(document)


def confirm_any(session: Session, intent: Document, method: Document) -> ApiError | None:
    """Confirm an intent with whatever kind of payment method."""
    if method["type"] == "card":
        return confirm(session, intent, method)
    intent |= {"payment_method": method["id"], "payment_method_types": [method["type"]]}
    if method["type"] == "sepa_debit":
        _begin_debit(session, intent, method)
    else:
        _await_transfer(session, intent)
    return None


def settle_due_at(intent: Document) -> int | None:
    """Tell when a bank answers for an intent that is processing."""
    due: int | None = intent.get("_settles_at")
    return due


def settle(session: Session, intent: Document) -> None:
    """Let the bank answer: paid or refused."""
    intent["_settles_at"] = None
    charge = session.get("charge", intent["latest_charge"])
    failure = _IBANS[session.get("payment_method", charge["payment_method"])["_iban"]].failure
    if failure is None:
        charge |= {"status": "succeeded", "paid": True, "captured": True}
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        session.tell("charge.succeeded", charge, with_previous=True)
        session.tell("payment_intent.succeeded", intent)
        settle_funds(session, charge)
    else:
        _refuse(session, intent, charge, failure)
    _tell_checkout(session, intent, has_failed=failure is not None)


def fund(session: Session, intent: Document, amount_minor: int) -> int:
    """Apply a bank transfer to an intent that waits for one, and give what is left over."""
    missing: int = intent["amount"] - intent["amount_received"]
    used = min(missing, amount_minor)
    intent["amount_received"] += used
    if used < missing:
        intent["next_action"]["display_bank_transfer_instructions"]["amount_remaining"] = missing - used
        session.tell("payment_intent.partially_funded", intent)
        return amount_minor - used
    method = session.get("payment_method", intent["payment_method"])
    charge = new_charge(session, intent, method)
    intent |= {"status": "succeeded", "next_action": None, "latest_charge": charge["id"]}
    session.tell("charge.succeeded", charge)
    session.tell("payment_intent.succeeded", intent)
    settle_funds(session, charge)
    return amount_minor - used


def _sepa(params: dict[str, Any], billing: Document) -> Document:
    iban = str((params.get("sepa_debit") or {}).get("iban", "")).replace(" ", "")
    if iban not in _IBANS:
        raise invalid(
            "The IBAN you have provided is none of Stripe's test IBANs.", param="sepa_debit[iban]", code="invalid_iban"
        )
    if not billing.get("name") or not billing.get("email"):
        raise invalid("Missing required param: billing_details[name].", param="billing_details[name]")
    return {
        "bank_code": iban[4:9],
        "branch_code": "",
        "country": iban[:2],
        "fingerprint": f"sandbox{iban[-9:]}",
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": iban[-4:],
    }


def _begin_debit(session: Session, intent: Document, method: Document) -> None:
    charge = new_charge(session, intent, method)
    charge |= {"status": "pending", "paid": False, "captured": True}
    settles_at = session.recorded_at + _IBANS[method["_iban"]].settles_after_seconds
    intent |= {"status": "processing", "latest_charge": charge["id"], "_settles_at": settles_at}
    session.tell("charge.pending", charge)
    session.tell("payment_intent.processing", intent)


def _await_transfer(session: Session, intent: Document) -> None:
    if not intent["customer"]:
        raise invalid("A customer is needed to pay by bank transfer.", param="customer", code="parameter_missing")
    intent |= {
        "status": "requires_action",
        "next_action": {
            "type": "display_bank_transfer_instructions",
            "display_bank_transfer_instructions": {
                "amount_remaining": intent["amount"],
                "currency": intent["currency"],
                "financial_addresses": [],
                "hosted_instructions_url": f"https://payments.stripe.com/bank_transfers/instructions/test_{token(24)}",
                "reference": token(12).upper(),
                "type": f"{intent['currency'][:2]}_bank_transfer",
            },
        },
    }
    session.tell("payment_intent.requires_action", intent)


def _refuse(session: Session, intent: Document, charge: Document, failure: str) -> None:
    message = "The payment was refused by the customer's bank."
    charge |= {"status": "failed", "failure_code": failure, "failure_message": message, "captured": False}
    charge["amount_captured"] = 0
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": {
            "charge": charge["id"],
            "code": "payment_intent_payment_attempt_failed",
            "decline_code": failure,
            "message": message,
            "type": "card_error",
        },
    }
    session.tell("charge.failed", charge, with_previous=True)
    session.tell("payment_intent.payment_failed", intent)


def _tell_checkout(session: Session, intent: Document, *, has_failed: bool) -> None:
    for checkout in session.select("checkout.session", "payment_intent", intent["id"]):
        if has_failed:
            session.tell("checkout.session.async_payment_failed", checkout)
        else:
            checkout["payment_status"] = "paid"
            session.tell("checkout.session.async_payment_succeeded", checkout)
