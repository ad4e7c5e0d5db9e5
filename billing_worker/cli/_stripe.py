"""Stripe as commands ask it: the settings, the gateway, and whether it is the real one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation
from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.app import installation
    from billing_worker.runtime.settings import Settings
    from billing_worker.stripe_gateway import client
    from billing_worker.stripe_gateway.client import StripeGateway
else:
    installation = lazy_module("billing_worker.app.installation")
    client = lazy_module("billing_worker.stripe_gateway.client")


@dataclass(frozen=True, slots=True)
class ConfiguredStripe:
    """What the settings say about Stripe; `kind` is real or sandbox."""

    settings: Settings
    kind: str


def configured_stripe(invocation: Invocation) -> ConfiguredStripe:
    """Read what is configured, without calling anybody."""
    loaded = load_command_settings(invocation)
    return ConfiguredStripe(loaded, installation.stripe_kind(loaded))


def impatient_gateway(settings: Settings) -> StripeGateway:
    """Build a gateway that says at once what it met."""
    return client.StripeGateway(settings.model_copy(update={"stripe_max_retries": 0}))
