"""Trials that end without anything to pay with."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.collecting import method_for
from billing_worker.sandbox.engine.parents import subscription_parent


def rule_without_method(session: Session, subscription: Document) -> str | None:
    """Tell what is to happen at the end of a trial: `cancel`, `pause`, or None where there is a payment method."""
    probe = {
        "parent": subscription_parent(subscription),
        "customer": subscription["customer"],
        "default_payment_method": None,
    }
    if method_for(session, probe) is not None:
        return None
    rule: str = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    return rule if rule in {"cancel", "pause"} else None


def pause(session: Session, subscription: Document) -> None:
    """Pause a subscription: no invoices until somebody resumes it."""
    subscription |= {"status": "paused", "trial_end": min(subscription["trial_end"], session.now)}
    subscription["_trial_notice_at"] = None
    subscription["status_details"] = {
        "paused": {
            "subscription": {"type": "trial_end_without_payment_method"},
            "transitioned_at": session.now,
            "type": "subscription",
        }
    }
    session.tell("customer.subscription.paused", subscription)
