"""What happens on a hosted checkout page: the customer pays, subscribes or leaves."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.engine.baskets import recurring_items
from billing_worker.sandbox.engine.charging import new_intent
from billing_worker.sandbox.engine.debits import confirm_any
from billing_worker.sandbox.engine.subscribing import subscribe


def complete(session: Session, checkout: Document, method: Document) -> None:
    """Let the customer confirm the page.

    Raises: ApiError when the page is closed or the payment is refused; the page stays open then.
    """
    if checkout["status"] != "open":
        raise invalid(f"This Checkout Session is no longer open: it is {checkout['status']}.")
    if checkout["mode"] == "payment":
        is_paid = _pay(session, checkout, method)
    else:
        is_paid = _subscribe(session, checkout, method)
    details = method["billing_details"]
    checkout |= {
        "status": "complete",
        "payment_status": "paid" if is_paid else "unpaid",
        "url": None,
        "customer_details": {
            "address": details["address"],
            "business_name": None,
            "email": details["email"],
            "individual_name": None,
            "name": details["name"],
            "phone": details["phone"],
            "tax_exempt": "none",
            "tax_ids": [],
        },
    }
    session.tell("checkout.session.completed", checkout)


def expire(session: Session, checkout: Document) -> None:
    """Close a page that nobody confirmed."""
    checkout |= {"status": "expired", "url": None}
    session.tell("checkout.session.expired", checkout)


def expires_at(checkout: Document) -> int | None:
    """Tell when a page closes by itself."""
    due: int | None = checkout["expires_at"] if checkout["status"] == "open" else None
    return due


CHECKOUT_DUTIES = {"checkout.session": Duty(expires_at, expire)}


def _pay(session: Session, checkout: Document, method: Document) -> bool:
    given = checkout["_payment_intent_data"]
    intent = new_intent(
        session,
        amount_minor=checkout["amount_total"],
        currency=checkout["currency"],
        customer=checkout["customer"],
        description=given.get("description"),
        metadata=given.get("metadata") or {},
        payment_method_types=checkout["payment_method_types"],
        setup_future_usage=given.get("setup_future_usage"),
        shipping=given.get("shipping"),
    )
    checkout["payment_intent"] = intent["id"]
    refusal = confirm_any(session, intent, method)
    if refusal is not None:
        raise refusal
    return bool(intent["status"] == "succeeded")


def _subscribe(session: Session, checkout: Document, method: Document) -> bool:
    customer = session.get("customer", checkout["customer"])
    if method["customer"] is None:
        method["customer"] = customer["id"]
        session.tell("payment_method.attached", method, is_last=True)
    given = {name: value for name, value in checkout["_subscription_data"].items() if name in _SUBSCRIPTION_TAKES}
    items = recurring_items(checkout["_items"])
    refusal: ApiError | None
    params = given | {"items": items, "default_payment_method": method["id"]}
    subscription, refusal = subscribe(session, customer, params)
    checkout |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}
    if refusal is not None:
        raise refusal
    return True


_SUBSCRIPTION_TAKES = frozenset({"description", "metadata", "trial_period_days", "trial_end", "trial_settings"})
