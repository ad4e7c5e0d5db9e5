"""Call Stripe once and time the answer."""

from __future__ import annotations

import time
from dataclasses import dataclass

from billing_worker.stripe_gateway.client import StripeGateway


@dataclass(frozen=True, slots=True)
class StripeProbe:
    """What Stripe answered, and how long that took."""

    account: str
    country: str | None
    charges_enabled: bool
    request_id: str | None
    took_ms: float


def probe_stripe(gateway: StripeGateway) -> StripeProbe:
    """Call Stripe once and time the answer.

    Raises: StripeUnavailable, RateLimited, StripeKeyRejected, StripeRefused.
    """
    started = time.perf_counter()
    answer = gateway.read("account")
    took_ms = round((time.perf_counter() - started) * 1000, 1)
    account = answer.data
    return StripeProbe(
        str(account["id"]), account.get("country"), bool(account.get("charges_enabled")), answer.request_id, took_ms
    )
