"""Show a subscription."""

from __future__ import annotations

from billing_worker.cli.billing.subscription._shown import show_command

command = show_command(
    "Show a subscription as the mirror has it.",
    "--compare-stripe puts Stripe's answer of now beside it, field by field; exit code 1 when they differ.",
    compares=False,
)
