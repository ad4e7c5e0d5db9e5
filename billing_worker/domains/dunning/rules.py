"""Which failed payments are ours to chase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTLED = frozenset({"paid", "void", "uncollectible"})


def check_ours_to_chase(failure: Mapping[str, Any], *, collector: str, invoice_status: str | None) -> str | None:
    """Say in one sentence why a failed payment is left alone, None if it is ours."""
    if collector != "nself":
        return "Stripe collects (BILLING_COLLECTOR=stripe)"
    if failure.get("next_payment_attempt") is not None:
        return "Stripe retries this invoice itself: two collectors never chase one invoice"
    if failure.get("collection_method") == "send_invoice":
        return "the invoice is the customer's to pay (collection_method=send_invoice)"
    if failure.get("billing_reason") == "subscription_create":
        return "the first invoice of a subscription is the customer's to pay, on session, within 23 hours"
    if invoice_status in SETTLED:
        return f"the invoice is {invoice_status} already"
    return None
