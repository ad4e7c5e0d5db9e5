"""Show how a subscription is billed, and where each rule comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions import billing_rules
    from billing_worker.mirror import objects
else:
    objects = lazy_module("billing_worker.mirror.objects")
    billing_rules = lazy_module("billing_worker.domains.subscriptions.billing_rules")


@click.command()
@click.argument("subscription_id", metavar="SUBSCRIPTION")
@json_option
@pass_invocation
def command(invocation: Invocation, subscription_id: str, *, as_json: bool) -> None:
    """Show how a subscription is billed: proration, anchor, collection, trial, tax, and where each rule is set."""
    settings = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = objects.get_object(session, "subscription", subscription_id)
    rules = billing_rules.list_rules(
        found.data,
        proration_behavior=settings.stripe_proration_behavior,
        tax_calculation=settings.stripe_tax_calculation,
        collector=settings.billing_collector,
    )
    show_rows([{"rule": rule.name, "value": rule.value, "set_by": rule.set_by} for rule in rules], as_json=as_json)
