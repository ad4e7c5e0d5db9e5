"""Prove at Stripe whether an intent's call happened, once its idempotency key proves nothing any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from billing_worker.effects.services.begin_intent import CallPlan
from billing_worker.stripe_gateway.client import Retrieved, StripeGateway
from billing_worker.stripe_gateway.errors import StripeNotFound

CLOCK_MARGIN = timedelta(hours=1)
"""Stripe's clock and ours may differ; an hour of older objects costs a page at most."""

UNDER_WAY = frozenset({"processing", "requires_capture"})
"""Payment intents in these states may still move money."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What Stripe shows: the object (found), proof of its absence (absent), or neither (unproven)."""

    verdict: Literal["found", "absent", "unproven"]
    found: Retrieved | None = None
    why: str = ""


def look_up_intent(gateway: StripeGateway, plan: CallPlan) -> Proof:
    """Look for the outcome of a call by its mark in the metadata, or by the state of the object it was about.

    Raises: RateLimited, StripeUnavailable, StripeKeyRejected, StripeRefused.
    """
    operation = plan.operation
    if operation.list_path:
        return _by_mark(gateway, plan)
    if operation.done_when:
        return _by_state(gateway, plan)
    if operation.is_repeatable:
        return Proof("absent", why="a repetition does no harm")
    return Proof("unproven", why=f"{operation.name} leaves no trace that could be looked up")


def _by_mark(gateway: StripeGateway, plan: CallPlan) -> Proof:
    operation = plan.operation
    since = int((plan.created_at - CLOCK_MARGIN).timestamp())
    params: dict[str, Any] = {**dict(operation.list_params), "created": {"gte": since}}
    params |= {name: plan.body[name] for name in operation.list_filters if name in plan.body}
    cursor = None
    while True:
        page = gateway.list_page(operation.list_path, params=params, starting_after=cursor, account_id=plan.account_id)
        for obj in page.data:
            if (obj.get("metadata") or {}).get("nself_intent") == str(plan.intent_id):
                return Proof("found", Retrieved(obj, page.observed_at))
        if not page.has_more or not page.data:
            return Proof("absent")
        cursor = page.data[-1]["id"]


def _by_state(gateway: StripeGateway, plan: CallPlan) -> Proof:
    operation = plan.operation
    expand = ["payments.data.payment.payment_intent"] if operation.answers == "invoice" else []
    try:
        answer = gateway.retrieve(operation.answers, plan.path_ids["id"], expand=expand, account_id=plan.account_id)
    except StripeNotFound:
        return Proof("unproven", why=f"{operation.answers} {plan.path_ids['id']} is gone at Stripe")
    if answer.data.get("status") in operation.done_when:
        return Proof("found", answer)
    running = [status for status in _payment_states(answer.data) if status in UNDER_WAY]
    if running:
        return Proof("unproven", why=f"a payment of {plan.path_ids['id']} is {running[0]}")
    return Proof("absent")


def _payment_states(invoice: Mapping[str, Any]) -> list[str]:
    payments = (invoice.get("payments") or {}).get("data") or []
    intents = ((payment.get("payment") or {}).get("payment_intent") for payment in payments)
    return [intent["status"] for intent in intents if isinstance(intent, dict) and intent.get("status")]
