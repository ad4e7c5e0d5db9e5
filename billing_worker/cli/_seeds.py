"""What commands for test data work with: Stripe in test mode, and a line in the operator's log for what they change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from billing_worker.cli._audit import record_operation
from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation
from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.runtime.settings import Settings
    from billing_worker.seeds import boundaries
    from billing_worker.seeds import client as seed_client
    from billing_worker.seeds.client import SeedClient
    from billing_worker.stripe_gateway import client as gateway
else:
    boundaries = lazy_module("billing_worker.seeds.boundaries")
    seed_client = lazy_module("billing_worker.seeds.client")
    gateway = lazy_module("billing_worker.stripe_gateway.client")


_UNNOTED = frozenset({"as_json", "number", "expiry", "cvc"})
"""Card data is kept nowhere, not even a test card's: habits are not made for test mode."""


@dataclass(frozen=True, slots=True)
class TestStripe:
    """Stripe in test mode."""

    settings: Settings
    client: SeedClient


def open_test_stripe(invocation: Invocation) -> TestStripe:
    """Give a command Stripe in test mode.

    Raises: LiveModeError for a live key or mode.
    """
    loaded = load_command_settings(invocation)
    boundaries.require_test_mode(loaded)
    return TestStripe(loaded, seed_client.SeedClient(gateway.StripeGateway(loaded)))


def note_change(invocation: Invocation, context: click.Context) -> None:
    """Note in the operator's log that a command is about to change something at Stripe."""
    values = (f"{name}={value}" for name, value in context.params.items() if name not in _UNNOTED and value is not None)
    record_operation(invocation.environ, context.command_path, tuple(values))
