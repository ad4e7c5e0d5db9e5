"""Have Stripe compute a draft again."""

from __future__ import annotations

from billing_worker.cli.billing.invoice._refreshed import refreshing_command

command = refreshing_command(
    "Have Stripe compute tax and totals of a draft again, by STRIPE_TAX_CALCULATION, and check the result.",
    "Exit code 1 when something does not fit. A final invoice is never computed again: it is refused.",
    recalculates=True,
)
