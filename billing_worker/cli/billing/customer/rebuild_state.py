"""Build a customer again from its events, and compare with mirror and Stripe."""

from __future__ import annotations

from billing_worker.cli._rebuild import rebuild_command

command = rebuild_command("customer")
