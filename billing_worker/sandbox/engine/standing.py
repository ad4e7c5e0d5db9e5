"""What the payment of an invoice means for its subscription and its customer."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.invoices import default_payment, subscription_id_of

ENDED = frozenset({"canceled", "incomplete_expired"})
_SETTLED = frozenset({"paid", "void", "uncollectible"})


def after_settlement(session: Session, invoice: Document) -> None:
    """Bring subscription and customer back to good standing once their newest finalised invoice is settled."""
    subscription = _subscription(session, invoice)
    if subscription is not None:
        if invoice["status"] == "paid":
            _save_method(session, subscription, invoice)
            _apply_pending(session, subscription, invoice)
        if subscription["status"] == "incomplete" and invoice["status"] == "paid":
            subscription["status"] = "active"
            subscription["_expires_at"] = None
        elif subscription["status"] in {"past_due", "unpaid"} and _newest_is_settled(session, subscription):
            subscription["status"] = "active"
        session.tell_changes(subscription)
    customer = session.get("customer", invoice["customer"])
    if customer["delinquent"] and not _owes(session, customer):
        customer["delinquent"] = False
        session.tell_changes(customer)


def while_processing(session: Session, invoice: Document) -> None:
    """Let a subscription begin while its first payment is on its way.

    Source: Stripe documentation, “Subscriptions”: payment methods that take days activate a subscription at once.
    """
    subscription = _subscription(session, invoice)
    if subscription is not None and subscription["status"] == "incomplete":
        subscription |= {"status": "active", "_expires_at": None}
        session.tell_changes(subscription)


def after_failure(session: Session, invoice: Document) -> None:
    """Mark subscription and customer of an invoice that could not be collected."""
    customer = session.get("customer", invoice["customer"])
    customer["delinquent"] = True
    session.tell_changes(customer)
    subscription = _subscription(session, invoice)
    if subscription is None:
        return
    if subscription["status"] in {"active", "trialing"}:
        subscription["status"] = "past_due"
    if invoice["_retries_exhausted"] and subscription["status"] == "past_due":
        if session.settings.after_retries == "cancel":
            end(session, subscription, reason="payment_failed")
            return
        subscription["status"] = session.settings.after_retries
    session.tell_changes(subscription)


def end(session: Session, subscription: Document, *, reason: str) -> None:
    """Cancel a subscription now."""
    subscription |= {
        "status": "canceled",
        "canceled_at": subscription["canceled_at"] or session.now,
        "ended_at": session.now,
        "pending_update": None,
        "_trial_notice_at": None,
        "_expires_at": None,
        "_pending": None,
    }
    _stop_collecting(session, subscription)
    subscription["cancellation_details"] = subscription["cancellation_details"] | {"reason": reason}
    if subscription["schedule"]:
        _end_schedule(session, subscription, reason)
    # The deletion itself carries the last state; no update event precedes it.
    session.tell("customer.subscription.deleted", subscription, is_last=True)


def _stop_collecting(session: Session, subscription: Document) -> None:
    # Source: Stripe documentation, “Cancel subscriptions”: open invoices are no longer collected by themselves.
    for invoice in session.select("invoice", "parent.subscription_details.subscription", subscription["id"]):
        if invoice["status"] == "open":
            invoice |= {"auto_advance": False, "next_payment_attempt": None}


def _apply_pending(session: Session, subscription: Document, invoice: Document) -> None:
    pending = subscription["_pending"]
    if pending is not None and pending["invoice"] == invoice["id"]:
        subscription |= pending["changes"] | {"pending_update": None, "_pending": None}
        session.tell("customer.subscription.pending_update_applied", subscription)


def _save_method(session: Session, subscription: Document, invoice: Document) -> None:
    saves = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
    if not saves or subscription["default_payment_method"] is not None:
        return
    payment = default_payment(session, invoice)
    intent = session.find("payment_intent", payment["payment"]["payment_intent"]) if payment else None
    if intent is not None and intent["payment_method"] is not None:
        subscription["default_payment_method"] = intent["payment_method"]


def _end_schedule(session: Session, subscription: Document, reason: str) -> None:
    schedule = session.get("subscription_schedule", subscription["schedule"])
    if schedule["status"] != "active":
        return
    schedule |= {"status": "canceled", "canceled_at": session.now, "current_phase": None, "_notice_at": None}
    was_unpaid = reason == "payment_failed"
    session.tell("subscription_schedule.aborted" if was_unpaid else "subscription_schedule.canceled", schedule)


def _subscription(session: Session, invoice: Document) -> Document | None:
    subscription = session.find("subscription", subscription_id_of(invoice))
    return None if subscription is None or subscription["status"] in ENDED else subscription


def _newest_is_settled(session: Session, subscription: Document) -> bool:
    invoices = session.peek("invoice", "parent.subscription_details.subscription", subscription["id"])
    finalized = [invoice for invoice in invoices if invoice["status"] != "draft"]
    return not finalized or finalized[-1]["status"] in _SETTLED


def _owes(session: Session, customer: Document) -> bool:
    invoices = session.peek("invoice", "customer", customer["id"])
    return any(
        invoice["status"] == "open" and invoice["attempted"] and invoice["collection_method"] == "charge_automatically"
        for invoice in invoices
    )
