"""Create a subscription at Stripe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.kernel.keys import object_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a customer subscribes to.

    Units: `trial_end` is an instant; give it or `trial_days`, not both. `payment_method_id` must be attached to the
    customer; without one the customer's default pays.
    """

    customer_id: str
    price_ids: tuple[str, ...]
    quantity: int | None = None
    payment_method_id: str | None = None
    trial_days: int | None = None
    trial_end: datetime | None = None
    coupon_id: str | None = None
    automatic_tax: bool = False


def create_subscription(door: ChangeDoor, terms: Terms) -> Changed:
    """Create a subscription; one whose first payment fails or waits for the customer is left `incomplete`.

    Raises: InvalidValueError for a trial in the past or given twice; what make_change raises.
    Source: Stripe documentation, “Create a subscription”, `payment_behavior=allow_incomplete`.
    """
    if terms.trial_days is not None and terms.trial_end is not None:
        raise InvalidValueError("a trial has a length or an end: give --trial-days or --trial-end, not both")
    if terms.trial_end is not None and terms.trial_end <= door.unit_of_work.now():
        raise InvalidValueError(
            f"the trial would end at {terms.trial_end.isoformat(' ', 'seconds')}, which is past: "
            "write a later day, for example --trial-end 2027-02-14"
        )
    body = {
        "customer": terms.customer_id,
        "items": [
            {"price": price_id, **({} if terms.quantity is None else {"quantity": terms.quantity})}
            for price_id in terms.price_ids
        ],
        "default_payment_method": terms.payment_method_id,
        "trial_period_days": terms.trial_days,
        "trial_end": None if terms.trial_end is None else int(terms.trial_end.timestamp()),
        "discounts": None if terms.coupon_id is None else [{"coupon": terms.coupon_id}],
        "automatic_tax": {"enabled": True} if terms.automatic_tax else None,
        "payment_behavior": "allow_incomplete",
    }
    customer = object_key("", "customer", terms.customer_id)
    return make_change(door, Change("subscriptions.create", body, about=customer, customer_id=terms.customer_id))
