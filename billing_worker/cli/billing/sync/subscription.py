"""Take a subscription over from Stripe."""

from __future__ import annotations

from billing_worker.cli.billing.sync._object import sync_command

command = sync_command("subscription", belongings="invoices")
