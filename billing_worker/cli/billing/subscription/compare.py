"""Compare a subscription with Stripe."""

from __future__ import annotations

from billing_worker.cli.billing.subscription._shown import show_command

command = show_command(
    "Compare a subscription of the mirror with Stripe, field by field.",
    "Exit code 1 when they differ; `nself billing subscription rebuild-state` says which of them the events support.",
    compares=True,
)
