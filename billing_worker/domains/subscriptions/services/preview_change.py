"""Ask Stripe what a change of a subscription would bill, without making it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from billing_worker.domains.subscriptions.items import check_open, find_item
from billing_worker.domains.subscriptions.previews import Preview, read_preview
from billing_worker.domains.subscriptions.services.find_unit_amounts import find_unit_amounts
from billing_worker.domains.subscriptions.services.update_subscription import Amendment
from billing_worker.stripe_gateway.client import StripeGateway


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """The next invoice as it stands, and as it would be after the change."""

    before: Preview
    after: Preview

    @property
    def difference_minor(self) -> int:
        """Return by how much the next invoice changes."""
        return self.after.amount_due_minor - self.before.amount_due_minor


def preview_change(gateway: StripeGateway, subscription_id: str, amendment: Amendment) -> ChangePreview:
    """Return what Stripe would bill after an amendment, line by line, beside what it would bill without.

    Units: with `proration_date` the amounts are exact for a change made with the same date; without one they are those
    of this second.
    Raises: SeveralItems, NotFoundError, RefusedError for a subscription that has ended; StripeRefused and the
    gateway's other errors.
    Source: Stripe documentation, “Preview an invoice”.
    """
    current = gateway.retrieve("subscription", subscription_id).data
    check_open(current)
    before = gateway.preview_invoice({"subscription": subscription_id}).data
    details: dict[str, Any] = {"proration_behavior": amendment.proration_behavior}
    if amendment.changes_item:
        item: dict[str, Any] = {"id": find_item(current, amendment.item_id)["id"]}
        item |= {} if amendment.price_id is None else {"price": amendment.price_id}
        item |= {} if amendment.quantity is None else {"quantity": amendment.quantity}
        details["items"] = [item]
    if amendment.trial_end is not None:
        details["trial_end"] = int(amendment.trial_end.timestamp())
    if amendment.proration_date is not None:
        details["proration_date"] = int(amendment.proration_date.timestamp())
    wanted = {
        "subscription": subscription_id,
        "subscription_details": {name: value for name, value in details.items() if value is not None},
    }
    after = gateway.preview_invoice(wanted).data
    amounts = find_unit_amounts(gateway, [before, after])
    return ChangePreview(read_preview(before, current, amounts), read_preview(after, current, amounts))
