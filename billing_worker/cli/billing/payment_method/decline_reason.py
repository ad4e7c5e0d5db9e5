"""Explain why a payment was declined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_container
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.domains.payment_methods import rules
    from billing_worker.domains.payment_methods.services import find_decline
else:
    rules = lazy_module("billing_worker.domains.payment_methods.rules")
    find_decline = lazy_module("billing_worker.domains.payment_methods.services.find_decline")


@click.command("decline-reason")
@click.argument("about", metavar="PAYMENT_METHOD|PAYMENT_INTENT|CHARGE|CODE")
@json_option
@pass_invocation
def command(invocation: Invocation, *, about: str, as_json: bool) -> None:
    """Explain the last decline of a payment method, payment intent or charge, or a bank's code by itself.

    Tells what it means, whether to try again, and what the customer may be told.
    """
    facts: dict[str, object] = {}
    code = about
    if about.startswith(("pm_", "pi_", "ch_", "py_", "card_")):
        with open_container(invocation) as container:
            seen = find_decline.find_decline(container.unit_of_work, container.stripe, about)
        if seen is None:
            say(f"no payment with {about} was declined, as far as the mirror and Stripe's last payments tell")
            return
        code = seen.code
        facts = {
            "failed_at": seen.failed_at,
            "charge": seen.charge_id,
            "payment_intent": seen.payment_intent_id,
            "customer": seen.customer_id,
            "stripe_says": seen.bank_says,
        }
    explained = rules.explain_decline(code)
    said = {"code": code, "meaning": explained.meaning, "retry": explained.retry.value}
    show_facts(said | {"tell_the_customer": explained.tell_customer} | facts, as_json=as_json)
