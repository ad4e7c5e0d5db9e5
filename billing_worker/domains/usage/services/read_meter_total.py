"""Read what Stripe has counted."""

from __future__ import annotations

from billing_worker.kernel.periods import Period
from billing_worker.stripe_gateway.client import StripeGateway


def read_meter_total(
    gateway: StripeGateway, meter_id: str, customer_id: str, period: Period, *, account_id: str = ""
) -> int:
    """Return Stripe's own sum of a customer's events in a span.

    Shape: `period` begins and ends on full minutes, as Stripe wants.
    Raises: StripeNotFound, StripeUnavailable, RateLimited, StripeRefused, StripeKeyRejected.
    Source: Stripe API reference, meter event summary.
    """
    params = {
        "customer": customer_id,
        "start_time": int(period.start.timestamp()),
        "end_time": int(period.end.timestamp()),
    }
    page = gateway.list_page(f"billing/meters/{meter_id}/event_summaries", params=params, account_id=account_id)
    return int(sum(summary["aggregated_value"] for summary in page.data))
