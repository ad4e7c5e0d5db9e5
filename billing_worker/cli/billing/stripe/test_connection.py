"""Call Stripe once and time it."""

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
    """Call Stripe once and time it; exit code 5 when it cannot be reached, 1 when it refuses the key."""
    stripe = configured_stripe(invocation)
    probe = probe_stripe.probe_stripe(impatient_gateway(stripe.settings))
    facts = {"answers": True, "api_base": stripe.settings.stripe_api_base, "stripe_is": stripe.kind}
    show_facts(facts | {"took_ms": probe.took_ms, "request_id": probe.request_id}, as_json=as_json)
