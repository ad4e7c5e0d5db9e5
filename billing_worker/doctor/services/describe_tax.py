"""Say how tax is computed, and whether Stripe is ready for that."""

from __future__ import annotations

from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway

MEANINGS = {
    "automatic": "Stripe Tax computes tax from the customer's address",
    "manual": "the tax rates that you add to invoices and lines count",
    "none": "no tax is added",
}


def describe_tax(settings: Settings, gateway: StripeGateway) -> dict[str, object]:
    """Describe the setting and Stripe Tax's own state; a Stripe that cannot tell is told, not raised."""
    facts: dict[str, object] = {
        "calculation": settings.stripe_tax_calculation,
        "meaning": MEANINGS[settings.stripe_tax_calculation],
    }
    try:
        tax = gateway.read("tax/settings").data
    except (RetryableError, TerminalError) as error:
        return facts | {"stripe_tax": "unknown", "because": str(error)}
    missing = ((tax.get("status_details") or {}).get("pending") or {}).get("missing_fields") or []
    is_ready = tax.get("status") == "active"
    facts |= {
        "stripe_tax": tax.get("status"),
        "missing": missing,
        "default_behavior": (tax.get("defaults") or {}).get("tax_behavior"),
        "default_tax_code": (tax.get("defaults") or {}).get("tax_code"),
    }
    if settings.stripe_tax_calculation == "automatic" and not is_ready:
        facts["to_do"] = "Stripe Tax is not active: complete it in Stripe's dashboard (Tax, Settings), or set manual"
    return facts
