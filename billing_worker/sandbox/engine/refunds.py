"""Money given back."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.balance import book
from billing_worker.sandbox.engine.cards import card_of


def refund_charge(
    session: Session, charge: Document, *, amount_minor: int | None, reason: str | None, metadata: Document
) -> Document:
    """Refund a charge; without an amount, all that is left of it.

    Raises: ApiError when nothing, or less than asked for, is left.
    """
    left = charge["amount_captured"] - charge["amount_refunded"]
    if not charge["paid"] or (left == 0 and charge["refunded"]):
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if charge["disputed"]:
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    wanted = left if amount_minor is None else amount_minor
    if not 0 < wanted <= left:
        raise invalid(
            f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({left})"
            if wanted > left
            else "This value must be greater than or equal to 1.",
            param="amount",
        )
    method = session.find("payment_method", charge["payment_method"])
    fails = method is not None and card_of(method).refund_fails
    refund = _new_refund(session, charge, wanted, reason, metadata)
    entry = book(session, refund, kind="refund", amount_minor=-wanted)
    refund["balance_transaction"] = entry["id"]
    charge["amount_refunded"] += wanted
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    session.tell("refund.created", refund)
    session.tell("charge.refunded", charge, with_previous=True)
    if fails:
        refund |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
        charge |= {"amount_refunded": charge["amount_refunded"] - wanted, "refunded": False}
        session.tell("refund.failed", refund)
        book(session, refund, kind="refund_failure", amount_minor=wanted)
    return refund


def _new_refund(session: Session, charge: Document, amount: int, reason: str | None, metadata: Document) -> Document:
    return session.add(
        {
            "object": "refund",
            "amount": amount,
            "balance_transaction": None,
            "charge": charge["id"],
            "created": session.recorded_at,
            "currency": charge["currency"],
            "customer": charge["customer"],
            "customer_account": None,
            "destination_details": {
                "card": {
                    "reference_status": "pending",
                    "reference_type": "acquirer_reference_number",
                    "type": "refund",
                },
                "type": "card",
            },
            "metadata": metadata,
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "succeeded",
            "transfer_reversal": None,
        }
    )
