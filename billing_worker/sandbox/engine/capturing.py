"""Manual capture: money held first, taken later."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.charging import settle_funds


def capture(session: Session, intent: Document, amount_minor: int | None) -> None:
    """Take held money; what is not taken is given back to the card.

    Raises: ApiError when nothing is held, or less than asked for.
    """
    if intent["status"] != "requires_capture":
        raise ApiError(
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be captured: requires_capture.",
            code="payment_intent_unexpected_state",
            extra={"payment_intent": public(intent)},
        )
    held = intent["amount_capturable"]
    wanted = held if amount_minor is None else amount_minor
    if not 0 < wanted <= held:
        raise invalid(
            "Amount capturable is less than the amount you requested to capture.",
            param="amount_to_capture",
            code="amount_too_large",
        )
    charge = session.get("charge", intent["latest_charge"])
    charge |= {"captured": True, "amount_captured": wanted}
    intent |= {"status": "succeeded", "amount_capturable": 0, "amount_received": wanted}
    session.tell("charge.captured", charge, with_previous=True)
    session.tell("payment_intent.succeeded", intent)
    settle_funds(session, charge)
