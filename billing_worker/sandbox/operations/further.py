"""The families beyond the everyday ones, gathered for the router and the timeline."""

from __future__ import annotations

from billing_worker.sandbox.core.expansion import Includable
from billing_worker.sandbox.core.routes import Route
from billing_worker.sandbox.engine.checkout import CHECKOUT_DUTIES
from billing_worker.sandbox.engine.collecting import COLLECTING_DUTIES
from billing_worker.sandbox.engine.schedules import SCHEDULE_DUTIES
from billing_worker.sandbox.operations import (
    balances,
    catalog,
    checkout,
    connect,
    credit_notes,
    identity,
    invoice_lines,
    pausing,
    payouts,
    plans,
    portal,
    promotions,
    quotes,
    schedules,
    sources,
    tax,
    v2_events,
    v2_usage,
)

FURTHER: list[list[Route]] = [
    tax.OPERATIONS,
    connect.OPERATIONS,
    payouts.OPERATIONS,
    plans.OPERATIONS,
    portal.OPERATIONS,
    identity.OPERATIONS,
    promotions.OPERATIONS,
    sources.OPERATIONS,
    balances.OPERATIONS,
    pausing.OPERATIONS,
    invoice_lines.OPERATIONS,
    credit_notes.OPERATIONS,
    quotes.OPERATIONS,
    checkout.OPERATIONS,
    schedules.OPERATIONS,
    v2_usage.OPERATIONS,
    v2_events.OPERATIONS,
]
"""Published operations."""
HOSTED: list[Route] = checkout.PAGES
"""What Stripe's own hosted pages call: in no reference, and so in no SDK."""
FURTHER_INCLUDABLES: dict[tuple[str, str], Includable] = {
    (kind, "line_items"): checkout.line_items_of for kind in ("checkout.session", "payment_link", "quote")
} | {
    ("coupon", "applies_to"): catalog.applies_to_of,
    ("coupon", "currency_options"): catalog.coupon_options_of,
    ("price", "tiers"): catalog.tiers_of,
}
"""Parts that are left out unless expanded."""
FURTHER_DUTIES = COLLECTING_DUTIES | CHECKOUT_DUTIES | SCHEDULE_DUTIES | payouts.PAYOUT_DUTIES
"""What the clock causes in them."""
