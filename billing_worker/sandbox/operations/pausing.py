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
        raise invalid(f"Only paused subscriptions can be resumed: this one is {subscription['status']}.")
    if call.params.get("billing_cycle_anchor", "now") != "now":
        raise invalid(
            "The sandbox resumes with a new billing cycle only.",
            param="billing_cycle_anchor",
            code="sandbox_not_simulated",
        )
    resume_subscription(call.session, subscription)
    return subscription


OPERATIONS = [route("POST", "/v1/subscriptions/{subscription}/resume", resume, "billing_cycle_anchor")]
