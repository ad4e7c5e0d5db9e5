"""Find out what a subscription's or an invoice's payment still needs, and from whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing_worker.domains.payments.rules import NEEDS_AUTHENTICATION, compute_standing
from billing_worker.stripe_gateway.client import StripeGateway

UNPAID = frozenset({"incomplete", "past_due", "unpaid"})
EXPAND = ("payments.data.payment.payment_intent",)


@dataclass(frozen=True, slots=True)
class NextStep:
    """What is missing; `kind` is authentication, payment_method, wait or pay; `url` is a page for the customer."""

    kind: str
    explanation: str
    invoice_id: str
    decline_code: str | None = None
    url: str | None = None


def find_next_step(gateway: StripeGateway, subscription: Mapping[str, Any]) -> NextStep | None:
    """Return what a subscription's unpaid invoice needs, None where nothing is missing.

    Raises: the gateway's errors.
    """
    latest = subscription.get("latest_invoice")
    invoice_id = latest.get("id") if isinstance(latest, Mapping) else latest
    if subscription.get("status") not in UNPAID or not invoice_id:
        return None
    return find_invoice_step(gateway, str(invoice_id), subscription_id=str(subscription["id"]))


def find_invoice_step(
    gateway: StripeGateway, invoice_id: str, *, subscription_id: str | None = None
) -> NextStep | None:
    """Return what an open invoice needs, None for one that is not open."""
    invoice = gateway.retrieve("invoice", invoice_id, expand=EXPAND).data
    if invoice.get("status") != "open":
        return None
    standing = compute_standing(invoice)
    code, url = standing.decline_code, invoice.get("hosted_invoice_url")
    again = (
        f"`nself billing subscription complete {subscription_id} --force`"
        if subscription_id
        else f"`nself billing invoice pay {invoice_id} --retry`"
    )
    if standing.is_under_way:
        said = f"the payment of {invoice_id} is under way; Stripe tells when it has ended"
        return NextStep("wait", said, invoice_id)
    if code in NEEDS_AUTHENTICATION:
        said = f"the bank wants the customer to authenticate (3-D Secure): send them to {url}"
        return NextStep("authentication", said, invoice_id, code, url)
    if code is not None:
        said = (
            f"{invoice_id} was not paid ({code}): attach another payment method "
            f"(`nself billing payment-method attach --customer {invoice.get('customer')} --payment-method PM`), "
            f"then {again}; or send the customer to {url}"
        )
        return NextStep("payment_method", said, invoice_id, code, url)
    return NextStep("pay", f"{invoice_id} is open and was not tried yet: {again}", invoice_id, None, url)
