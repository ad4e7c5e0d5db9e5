"""Lines of the account's balance."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import Session

_FUNDS_AFTER_SECONDS = 2 * 86_400
"""Source: Stripe documentation, “Payouts”: two business days in the US."""


def book(session: Session, source: Document, *, kind: str, amount_minor: int, fee_minor: int = 0) -> Document:
    """Write a line of the account's balance."""
    fees = [{"amount": fee_minor, "application": None, "currency": source["currency"], "type": "stripe_fee"}]
    return session.add(
        {
            "object": "balance_transaction",
            "amount": amount_minor,
            "available_on": session.recorded_at + _FUNDS_AFTER_SECONDS,
            "balance_type": "payments",
            "created": session.recorded_at,
            "currency": source["currency"],
            "description": source.get("description"),
            "exchange_rate": None,
            "fee": fee_minor,
            "fee_details": [{**fees[0], "description": "Stripe processing fees"}] if fee_minor else [],
            "net": amount_minor - fee_minor,
            # A dispute is an adjustment that reports count on its own.
            "reporting_category": "dispute" if source["object"] == "dispute" else kind,
            "source": source["id"],
            "status": "pending",
            "type": kind,
        }
    )
