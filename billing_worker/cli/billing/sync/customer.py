"""Take a customer over from Stripe."""

from __future__ import annotations

from billing_worker.cli.billing.sync._object import sync_command

command = sync_command("customer", belongings="subscriptions, payment methods and invoices")
