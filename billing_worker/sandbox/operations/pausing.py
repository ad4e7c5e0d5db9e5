"""Resuming what was paused."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.routes import Call, route
from billing_worker.sandbox.engine.changing import resume as resume_subscription


def resume(call: Call) -> Document:
    """Resume a paused subscription, starting a new period now."""
    subscription = call.session.get("subscription", call.id)
    if subscription["status"] != "paused":
        raise invalid(
            "You can only resume a subscription whose status is `paused`: this subscription's status is "
            f"`{subscription['status']}`.",
        )
    resume_subscription(call.session, subscription, call.params)
    return subscription


_TAKES = "billing_cycle_anchor payment_behavior proration_behavior"
OPERATIONS = [route("POST", "/v1/subscriptions/{subscription}/resume", resume, _TAKES)]
