"""Compute a subscription's pending prorations again."""

from __future__ import annotations

from billing_worker.cli.billing.subscription._prorated import proration_command

command = proration_command(
    "Have Stripe compute the next invoice again, and check every proration on it.",
    "Stripe computes prorations whenever it is asked, so there is nothing to write; exit code 1 when an amount is not "
    "what price, quantity and seconds give.",
    only_pending=True,
)
