"""Show a draft as it would become final."""

from __future__ import annotations

from billing_worker.cli.billing.invoice._refreshed import refreshing_command

command = refreshing_command(
    "Show an invoice with its lines as Stripe has it now, and every check of it, before it is finalised.",
    "Exit code 1 when something does not fit.",
    recalculates=False,
)
