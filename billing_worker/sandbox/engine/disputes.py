"""Disputes: opened by two test cards, decided by the evidence's words."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.balance import book

DISPUTE_FEE_MINOR = 1500
_EVIDENCE_SECONDS = 9 * 86_400
_EVIDENCE = (
    *("access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure"),
    *("cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name"),
    *("customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation"),
    *("duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure"),
    *("refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier"),
    *("shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file"),
    "uncategorized_text",
)


def open_dispute(session: Session, charge: Document, reason: str) -> Document:
    """Dispute a charge, and take its money back."""
    is_inquiry = reason == "general"
    dispute: Document = {
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": session.recorded_at,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(_EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": session.recorded_at + _EVIDENCE_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": is_inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if is_inquiry else "needs_response",
    }
    session.add(dispute, "charge.dispute.created")
    charge |= {"disputed": True, "dispute": dispute["id"]}
    session.tell_changes(charge)
    if not is_inquiry:
        entry = book(session, dispute, kind="adjustment", amount_minor=-charge["amount"], fee_minor=DISPUTE_FEE_MINOR)
        dispute["balance_transactions"] = [entry]
        session.tell("charge.dispute.funds_withdrawn", dispute)
    return dispute


def decide_dispute(session: Session, dispute: Document, *, is_won: bool) -> None:
    """End a dispute; a won one gives the money back."""
    is_inquiry = dispute["status"].startswith("warning_")
    dispute["status"] = "warning_closed" if is_inquiry else "won" if is_won else "lost"
    session.tell("charge.dispute.closed", dispute)
    if is_won and not is_inquiry:
        entry = book(session, dispute, kind="adjustment", amount_minor=dispute["amount"])
        dispute["balance_transactions"] = [*dispute["balance_transactions"], entry]
        session.tell("charge.dispute.funds_reinstated", dispute)
