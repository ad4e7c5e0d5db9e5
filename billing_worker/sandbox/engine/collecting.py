"""Attempts to collect an open invoice, and when the next one is due."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.engine.charging import pick_method
from billing_worker.sandbox.engine.debits import confirm_any, fund, settle, settle_due_at
from billing_worker.sandbox.engine.invoices import default_payment, mark_paid, subscription_id_of
from billing_worker.sandbox.engine.standing import after_failure, after_settlement, while_processing

RETRY_SECONDS = tuple(days * 86_400 for days in (3, 5, 7))
"""Each counted from the attempt before: a fixed stand-in for Stripe's Smart Retries."""


def collect(
    session: Session, invoice: Document, *, method: Document | None = None, is_automatic: bool
) -> ApiError | None:
    """Try to collect an open invoice; a refusal is returned, because it is a fact to keep.

    Order: the first attempt counts, whoever makes it; later ones count only when the schedule makes them.
    Source: Stripe API reference, Invoice.attempt_count.
    """
    method = method or method_for(session, invoice)
    if method is None and not is_automatic:
        raise missing_method()
    invoice["attempted"] = True
    if is_automatic or invoice["attempt_count"] == 0:
        invoice["attempt_count"] += 1
    refusal = missing_method() if method is None else _confirm(session, invoice, method)
    if refusal is not None and refusal.code == "authentication_required" and invoice["attempt_count"] == 1:
        # What waits for the card's holder at the start has not been tried yet, as recorded.
        invoice["attempt_count"] = 0
    if refusal is None and _is_processing(session, invoice):
        # A debit takes days: the invoice stays open, and nobody tries again meanwhile.
        invoice["next_payment_attempt"] = None
        session.tell_changes(invoice)
        while_processing(session, invoice)
        return None
    if refusal is None:
        mark_paid(session, invoice)
        after_settlement(session, invoice)
        return None
    if is_automatic:
        _plan_retry(session, invoice)
    if refusal.code == "authentication_required":
        session.tell("invoice.payment_action_required", invoice)
    session.tell("invoice.payment_failed", invoice)
    after_failure(session, invoice)
    return refusal


def fund_payment(session: Session, intent: Document, amount_minor: int) -> int:
    """Apply a bank transfer to an intent and its invoice, and give what is left over."""
    left = fund(session, intent, amount_minor)
    _follow_intent(session, intent)
    return left


def settle_payment(session: Session, intent: Document) -> None:
    """Let a bank answer for a debit, and tell what that means for its invoice."""
    settle(session, intent)
    _follow_intent(session, intent)


COLLECTING_DUTIES = {"payment_intent": Duty(settle_due_at, settle_payment)}
"""What banks answer in their own time."""


def method_for(session: Session, invoice: Document) -> Document | None:
    """Find the payment method that Stripe would use for an invoice."""
    subscription = session.find("subscription", subscription_id_of(invoice))
    customer = session.get("customer", invoice["customer"])
    return pick_method(
        session,
        invoice["default_payment_method"],
        subscription["default_payment_method"] if subscription else None,
        customer["invoice_settings"]["default_payment_method"],
        customer["default_source"],
    )


def missing_method() -> ApiError:
    """Make the error of a customer who has nothing to pay with."""
    return invalid(
        "This customer has no attached payment source or default payment method. Please consider adding a default "
        "payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
        "#payment-method-priority.",
        code="resource_missing",
    )


def _follow_intent(session: Session, intent: Document) -> None:
    invoice = session.find("invoice", intent.get("_invoice"))
    if invoice is None or invoice["status"] not in {"open", "uncollectible"}:
        return
    if intent["status"] == "succeeded":
        mark_paid(session, invoice)
        after_settlement(session, invoice)
    elif intent["status"] == "requires_payment_method":
        _plan_retry(session, invoice)
        session.tell("invoice.payment_failed", invoice)
        after_failure(session, invoice)


def _is_processing(session: Session, invoice: Document) -> bool:
    payment = default_payment(session, invoice)
    if payment is None:
        return False
    intent = session.get("payment_intent", payment["payment"]["payment_intent"])
    return bool(intent["status"] in {"processing", "requires_action"})


def _confirm(session: Session, invoice: Document, method: Document) -> ApiError | None:
    payment = default_payment(session, invoice)
    if payment is None:
        raise RuntimeError(f"open invoice {invoice['id']} has no payment")
    return confirm_any(session, session.get("payment_intent", payment["payment"]["payment_intent"]), method)


def _plan_retry(session: Session, invoice: Document) -> None:
    invoice["next_payment_attempt"] = None
    is_first_invoice = invoice["billing_reason"] == "subscription_create"
    if not session.settings.smart_retries or is_first_invoice:
        return
    done = invoice["_retries"]
    if done < len(RETRY_SECONDS):
        invoice["next_payment_attempt"] = session.now + RETRY_SECONDS[done]
        invoice["_retries"] = done + 1
    else:
        invoice["_retries_exhausted"] = True
