"""Changes of a customer's credit balance, each with its line."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session


def change_balance(
    session: Session,
    customer: Document,
    amount_minor: int,
    *,
    kind: str,
    **given: Any,  # noqa: ANN401 - JSON values
) -> Document:
    """Add to a customer's balance; what is negative is credit."""
    customer["balance"] += amount_minor
    session.tell_changes(customer)
    blank = dict.fromkeys(("checkout_session", "credit_note", "customer_account", "description", "invoice"))
    return session.add(
        blank
        | {
            "id": new_id("customer_balance_transaction"),
            "object": "customer_balance_transaction",
            "amount": amount_minor,
            "created": session.now,
            "currency": customer["currency"] or "usd",
            "customer": customer["id"],
            "ending_balance": customer["balance"],
            "livemode": False,
            "metadata": {},
            "type": kind,
        }
        | given
    )
