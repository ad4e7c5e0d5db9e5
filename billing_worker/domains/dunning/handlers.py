"""Facts about invoices that start, or end, the chase for a failed payment."""

from __future__ import annotations

from billing_worker.kernel.events import EffectDraft, EventView

PLAN_RETRY = "dunning.plan_retry"
SETTLE = "dunning.settle"
RESUME = "dunning.resume"


def on_invoice_payment_failed(event: EventView) -> list[EffectDraft]:
    """Plan what follows a failed payment.

    Idempotent by: invoice, attempt count and the failure's second. The attempt count alone does not tell failures
    apart: Stripe does not count manual attempts after the first, and ours are such.
    Source: Stripe API reference, Invoice.attempt_count.
    """
    invoice = event.data
    failed_at = int(event.created.timestamp())
    attempt_count = max(int(invoice.get("attempt_count") or 0), 1)
    parent = (invoice.get("parent") or {}).get("subscription_details") or {}
    subscription = parent.get("subscription")
    payload = {
        "invoice": event.object_id,
        "failed_at": failed_at,
        "attempt_count": attempt_count,
        "amount_due_minor": int(invoice.get("amount_remaining") or invoice.get("amount_due") or 0),
        "currency": invoice["currency"],
        "subscription": subscription.get("id") if isinstance(subscription, dict) else subscription,
        "next_payment_attempt": invoice.get("next_payment_attempt"),
        "billing_reason": invoice.get("billing_reason"),
        "collection_method": invoice.get("collection_method"),
    }
    key = f"payment_failed:{event.object_id}:{attempt_count}:{failed_at}"
    return [EffectDraft(key, PLAN_RETRY, event.object_key, event.customer_id, payload)]


def on_invoice_paid(event: EventView) -> list[EffectDraft]:
    """End the chase: the invoice is paid, by whomever."""
    return _settle(event, is_paid=True)


def on_invoice_closed(event: EventView) -> list[EffectDraft]:
    """End the chase: the invoice was voided or written off."""
    return _settle(event, is_paid=False)


def on_customer_updated(event: EventView) -> list[EffectDraft]:
    """Try again at once when the customer has another default payment method."""
    before = (event.previous.get("invoice_settings") or {}) if "invoice_settings" in event.previous else {}
    after = (event.data.get("invoice_settings") or {}).get("default_payment_method")
    if "default_payment_method" not in before or after is None:
        return []
    return [_resume(event, event.object_id, None)]


def on_subscription_updated(event: EventView) -> list[EffectDraft]:
    """Try again at once when the subscription has another payment method."""
    is_new = "default_payment_method" in event.previous and event.data.get("default_payment_method") is not None
    return [_resume(event, event.customer_id, event.object_id)] if is_new and event.customer_id else []


def _resume(event: EventView, customer_id: str | None, subscription_id: str | None) -> EffectDraft:
    changed_at = int(event.created.timestamp())
    payload = {"subscription": subscription_id, "changed_at": changed_at}
    key = f"new_payment_method:{event.object_id}:{changed_at}"
    return EffectDraft(key, RESUME, event.object_key, customer_id, payload)


def _settle(event: EventView, *, is_paid: bool) -> list[EffectDraft]:
    payload = {"invoice": event.object_id, "is_paid": is_paid}
    key = f"settle_retries:{event.object_id}:{event.type}"
    return [EffectDraft(key, SETTLE, event.object_key, event.customer_id, payload)]
