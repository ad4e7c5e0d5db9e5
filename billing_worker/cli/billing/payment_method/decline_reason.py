"""Explain why a payment was declined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.domains.payment_methods import queries, rules
else:
    queries, rules = (lazy_module(f"billing_worker.domains.payment_methods.{name}") for name in ("queries", "rules"))


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
        with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
            seen = queries.find_last_decline(session, about)
        if seen is None:
            say(f"no decline of {about} is known here; what is not mirrored: `nself billing reconcile --type charge`")
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
