"""Change a running subscription at Stripe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.subscriptions.items import check_open, find_item
from billing_worker.kernel.errors import InvalidValueError


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What changes; None stays as it is.

    Shape: `item_id` names the item that price and quantity are for; without it the subscription must have just one.
    Units: `proration_date` is an instant inside the running period; time before it is billed at the old terms.
    """

    price_id: str | None = None
    quantity: int | None = None
    item_id: str | None = None
    payment_method_id: str | None = None
    trial_end: datetime | None = None
    proration_date: datetime | None = None
    proration_behavior: str | None = None

    @property
    def changes_item(self) -> bool:
        """Say whether what is sold changes."""
        return self.price_id is not None or self.quantity is not None

    @property
    def is_empty(self) -> bool:
        """Say whether nothing would change."""
        return not self.changes_item and self.payment_method_id is None and self.trial_end is None


def update_subscription(door: ChangeDoor, subscription_id: str, amendment: Amendment) -> Changed:
    """Change price, quantity, payment method or trial of a subscription.

    Raises: InvalidValueError for an amendment that says nothing; SeveralItems; NotFoundError; RefusedError for a
    subscription that has ended; what make_change raises.
    """
    if amendment.is_empty:
        raise InvalidValueError(
            "nothing would change: give --price, --quantity, --payment-method or --trial-end, "
            "for example --price price_456"
        )
    # Stripe's word, not the mirror's: the item that is replaced must be the one of now.
    current = door.gateway.retrieve("subscription", subscription_id).data
    check_open(current)
    body: dict[str, Any] = {
        "default_payment_method": amendment.payment_method_id,
        "trial_end": None if amendment.trial_end is None else int(amendment.trial_end.timestamp()),
    }
    if amendment.changes_item:
        item = {"id": find_item(current, amendment.item_id)["id"]}
        if amendment.price_id is not None:
            item["price"] = amendment.price_id
        if amendment.quantity is not None:
            item["quantity"] = amendment.quantity
        body["items"] = [item]
    if amendment.changes_item or amendment.trial_end is not None:
        body["proration_behavior"] = amendment.proration_behavior
        if amendment.proration_date is not None:
            body["proration_date"] = int(amendment.proration_date.timestamp())
    change = Change(
        "subscriptions.update", body, object_id=subscription_id, customer_id=str(current.get("customer") or "") or None
    )
    return make_change(door, change)
