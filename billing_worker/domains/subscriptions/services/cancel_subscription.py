"""End a subscription at Stripe, at the end of its period or now, or take that back."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.subscriptions.items import check_open
from billing_worker.kernel.errors import RefusedError


def cancel_subscription(
    door: ChangeDoor,
    subscription_id: str,
    *,
    immediately: bool = False,
    invoice_now: bool = False,
    prorate: bool = False,
    takes_back: bool = False,
) -> Changed:
    """Cancel a subscription: it ends with its period, or at once.

    Shape: `invoice_now` bills what was used and not billed yet, `prorate` credits what was paid and not used; both only
    at once. `takes_back` undoes a cancellation at the period's end.
    Raises: RefusedError for one that has ended; what make_change raises.
    """
    if not immediately:
        if invoice_now or prorate:
            raise RefusedError("--invoice-now and --prorate settle a period that is cut short: add --immediate")
        return _end_with_period(door, subscription_id, ends=not takes_back)
    current = door.gateway.retrieve("subscription", subscription_id).data
    check_open(current)
    body = {"invoice_now": invoice_now or None, "prorate": prorate or None}
    return make_change(
        door,
        Change("subscriptions.cancel", body, object_id=subscription_id, customer_id=current.get("customer")),
    )


def _end_with_period(door: ChangeDoor, subscription_id: str, *, ends: bool) -> Changed:
    current = door.gateway.retrieve("subscription", subscription_id).data
    check_open(current)
    if bool(current.get("cancel_at_period_end")) is ends:
        said = "ends with its period already" if ends else "is not going to end: there is nothing to undo"
        raise RefusedError(f"subscription {subscription_id} {said}; nothing was changed")
    change = Change(
        "subscriptions.end_with_period",
        {"cancel_at_period_end": ends},
        object_id=subscription_id,
        customer_id=current.get("customer"),
    )
    return make_change(door, change)
