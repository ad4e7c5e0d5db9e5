"""By which rules a subscription is billed, and who set each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

SUBSCRIPTION = "the subscription"
CUSTOMER = "the customer's default"
SETTING = "setting {}"


@dataclass(frozen=True, slots=True)
class BillingRule:
    """One rule, its value, and where it is set."""

    name: str
    value: object
    set_by: str


def list_rules(
    subscription: Mapping[str, Any], *, proration_behavior: str, tax_calculation: str, collector: str
) -> list[BillingRule]:
    """Return the rules that decide amounts and dates of a subscription's invoices."""
    anchor = subscription.get("billing_cycle_anchor")
    trial = (subscription.get("trial_settings") or {}).get("end_behavior") or {}
    payment = subscription.get("payment_settings") or {}
    pause = subscription.get("pause_collection") or {}
    method = subscription.get("default_payment_method")
    automatic_tax = bool((subscription.get("automatic_tax") or {}).get("enabled"))
    return [
        BillingRule("proration_behavior", proration_behavior, SETTING.format("STRIPE_PRORATION_BEHAVIOR")),
        BillingRule("billing_mode", (subscription.get("billing_mode") or {}).get("type"), SUBSCRIPTION),
        BillingRule("billing_cycle_anchor", _instant(anchor), SUBSCRIPTION),
        BillingRule("collection_method", subscription.get("collection_method"), SUBSCRIPTION),
        BillingRule("days_until_due", subscription.get("days_until_due"), SUBSCRIPTION),
        BillingRule("default_payment_method", method, SUBSCRIPTION if method else CUSTOMER),
        BillingRule("save_default_payment_method", payment.get("save_default_payment_method"), SUBSCRIPTION),
        BillingRule("trial_without_payment_method", trial.get("missing_payment_method"), SUBSCRIPTION),
        BillingRule("pause_collection", pause.get("behavior"), SUBSCRIPTION),
        BillingRule("automatic_tax", automatic_tax, SUBSCRIPTION),
        BillingRule("tax_of_new_subscriptions", tax_calculation, SETTING.format("STRIPE_TAX_CALCULATION")),
        BillingRule("retries_of_failed_payments", collector, SETTING.format("BILLING_COLLECTOR")),
    ]


def _instant(value: object) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None
