"""Show a subscription's prorations."""

from __future__ import annotations

from billing_worker.cli.billing.subscription._prorated import proration_command

command = proration_command(
    "Show what was, and what will be, billed for changes within a period.",
    "Amounts are Stripe's; `expected_minor` is what price, quantity and seconds give.",
    only_pending=False,
)
