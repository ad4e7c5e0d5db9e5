"""Prove that the key works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli._stripe import configured_stripe, impatient_gateway

if TYPE_CHECKING:
    from billing_worker.doctor.services import probe_stripe
else:
    probe_stripe = lazy_module("billing_worker.doctor.services.probe_stripe")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Prove that the key works, and show whose it is; exit code 1 when Stripe does not accept it."""
    stripe = configured_stripe(invocation)
    probe = probe_stripe.probe_stripe(impatient_gateway(stripe.settings))
    facts: dict[str, object] = {"accepted": True, "account": probe.account, "mode": stripe.settings.stripe_mode}
    show_facts(facts | {"country": probe.country, "charges_enabled": probe.charges_enabled}, as_json=as_json)
