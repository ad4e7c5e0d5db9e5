"""Facts that customers are told of by mail; what is kept of them holds ids and figures, never an address."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billing_worker.domains.notifications.rules import NEWS_LASTS, kind_of
from billing_worker.domains.notifications.states import Template
from billing_worker.kernel.clock import from_unix
from billing_worker.kernel.events import EffectDraft, EventView


def on_invoice_payment_failed(event: EventView) -> list[EffectDraft]:
    """Tell that a payment failed, and when it is tried again.

    Idempotent by: invoice, attempt count and the failure's second; Stripe does not count manual attempts after the
    first, so the count alone does not tell failures apart.
    """
    invoice = event.data
    attempt_count = max(int(invoice.get("attempt_count") or 0), 1)
    payload = {
        **_invoice(event),
        "amount_minor": int(invoice.get("amount_remaining") or invoice.get("amount_due") or 0),
        "next_payment_attempt": invoice.get("next_payment_attempt"),
    }
    occurrence = f"{attempt_count}:{int(event.created.timestamp())}"
    return [_draft(event, Template.INVOICE_PAYMENT_FAILED, occurrence, payload)]


def on_invoice_paid(event: EventView) -> list[EffectDraft]:
    """Send the receipt for money that came; an invoice of nothing, or paid from the balance, has none.

    Idempotent by: invoice and its being paid, which happens once.
    """
    amount_paid_minor = int(event.data.get("amount_paid") or 0)
    if amount_paid_minor <= 0:
        return []
    return [_draft(event, Template.INVOICE_PAID, "paid", {**_invoice(event), "amount_minor": amount_paid_minor})]


def on_trial_will_end(event: EventView) -> list[EffectDraft]:
    """Tell that a trial ends soon; after its end that is no news."""
    trial_end = event.data.get("trial_end")
    if not isinstance(trial_end, int):
        return []
    ends_with_trial = bool(event.data.get("cancel_at_period_end")) or event.data.get("cancel_at") is not None
    payload = {"subscription": event.object_id, "trial_end": trial_end, "ends_with_trial": ends_with_trial}
    not_after = from_unix(trial_end)
    return [_draft(event, Template.SUBSCRIPTION_TRIAL_ENDING, str(trial_end), payload, not_after=not_after)]


def on_subscription_deleted(event: EventView) -> list[EffectDraft]:
    """Confirm that a subscription has ended, and say whether unpaid invoices ended it."""
    ended_at = event.data.get("ended_at")
    if not isinstance(ended_at, int):
        ended_at = int(event.created.timestamp())
    details = event.data.get("cancellation_details") or {}
    payload = {
        "subscription": event.object_id,
        "ended_at": ended_at,
        "is_unpaid": details.get("reason") == "payment_failed",
    }
    return [_draft(event, Template.SUBSCRIPTION_CANCELED, str(ended_at), payload)]


def _invoice(event: EventView) -> dict[str, Any]:
    return {"invoice": event.object_id, "number": event.data.get("number"), "currency": event.data["currency"]}


def _draft(
    event: EventView,
    template: Template,
    occurrence: str,
    payload: dict[str, Any],
    *,
    not_after: datetime | None = None,
) -> EffectDraft:
    return EffectDraft(
        key=f"mail:{template}:{event.object_id}:{occurrence}",
        kind=kind_of(template),
        object_key=event.object_key,
        customer_id=event.customer_id,
        payload=payload,
        not_after=not_after or event.created + NEWS_LASTS,
    )
