"""Turns the options of a change into an amendment, with the settings' defaults."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, TypedDict, Unpack

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._written_times import instant_of

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions.services import update_subscription
    from billing_worker.domains.subscriptions.services.update_subscription import Amendment
    from billing_worker.runtime.settings import Settings
else:
    update_subscription = lazy_module("billing_worker.domains.subscriptions.services.update_subscription")

PRORATION = ("create_prorations", "always_invoice", "none")


class Values(TypedDict, total=False):
    """What is taken as it was written."""

    price_id: str | None
    quantity: int | None
    item_id: str | None
    payment_method_id: str | None
    proration_behavior: str | None


def amend(
    settings: Settings, *, trial_end: date | None = None, proration_date: date | None = None, **values: Unpack[Values]
) -> Amendment:
    """Build the amendment: days are BILLING_TIMEZONE's, proration is STRIPE_PRORATION_BEHAVIOR unless given."""
    values["proration_behavior"] = values.get("proration_behavior") or settings.stripe_proration_behavior
    return update_subscription.Amendment(
        trial_end=instant_of(trial_end, settings.billing_timezone),
        proration_date=instant_of(proration_date, settings.billing_timezone),
        **values,
    )
