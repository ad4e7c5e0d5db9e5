"""Bring a subscription over its first payment, or say what that payment needs."""

from __future__ import annotations

from billing_worker.changes.change import Changed, ChangeDeclined
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.import_object import import_object
from billing_worker.domains.payments.services.find_next_step import NextStep, find_next_step
from billing_worker.domains.payments.services.pay_invoice import pay_invoice
from billing_worker.kernel.errors import RefusedError


def complete_subscription(
    door: ChangeDoor, subscription_id: str, *, pays: bool, payment_method_id: str | None = None
) -> tuple[Changed, NextStep | None]:
    """Pay the open invoice of an incomplete subscription, and return the subscription with what is still missing.

    Shape: without `pays` nothing is tried. A declined payment is no error here: the next step tells its code.
    Raises: RefusedError for an expired subscription; what pay_invoice raises besides ChangeDeclined; the gateway's
    errors.
    """
    current = door.gateway.retrieve("subscription", subscription_id).data
    if current.get("status") == "incomplete_expired":
        raise RefusedError(
            f"subscription {subscription_id} has expired: its first payment was missing for 23 hours. A new one: "
            f"`nself billing subscription create --customer {current.get('customer')} --price PRICE`"
        )
    step = find_next_step(door.gateway, current)
    if not pays or step is None or step.kind in {"authentication", "wait"}:
        return _shown(door, subscription_id), step
    try:
        paid = pay_invoice(door, step.invoice_id, payment_method_id=payment_method_id)
    except ChangeDeclined:
        # Which code it was, and what follows from it, is asked of Stripe below, like for any other failure.
        return _shown(door, subscription_id), find_next_step(door.gateway, current)
    if paid.is_planned:
        return paid, None
    after = _shown(door, subscription_id)
    return after, find_next_step(door.gateway, after.data)


def _shown(door: ChangeDoor, subscription_id: str) -> Changed:
    return import_object(door, "subscription", subscription_id)
