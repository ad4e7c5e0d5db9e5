"""Show a card's brand, country and checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_container
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.domains.payment_methods.services import inspect_payment_method
else:
    inspect_payment_method = lazy_module("billing_worker.domains.payment_methods.services.inspect_payment_method")

CARD = ("brand", "last4", "exp_month", "exp_year", "funding", "country", "fingerprint", "wallet")


@click.command()
@click.argument("payment_method")
@json_option
@pass_invocation
def command(invocation: Invocation, *, payment_method: str, as_json: bool) -> None:
    """Show a card as Stripe has it: brand, country, expiry, and what the bank said of code and address."""
    with open_container(invocation) as container:
        found = inspect_payment_method.inspect_payment_method(
            container.unit_of_work,
            container.stripe,
            payment_method,
            may_degrade=container.settings.billing_graceful_degradation,
            today=container.unit_of_work.now().date(),
        )
    card = found.data.get("card") or {}
    facts: dict[str, object] = {"payment_method": payment_method, "type": found.data.get("type")}
    facts |= {"customer": found.data.get("customer"), **{name: card.get(name) for name in CARD}}
    facts |= {"has_expired": found.has_expired, **(card.get("checks") or {})}
    facts["3d_secure_supported"] = (card.get("three_d_secure_usage") or {}).get("supported")
    show_facts(facts, as_json=as_json)
    if found.why_mirror:
        say(f"this is what the mirror has, because: {found.why_mirror}")
