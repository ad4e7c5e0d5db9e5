"""Bring a subscription of Stripe's into the mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door, show_change
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.subscription._facts import subscription_facts

if TYPE_CHECKING:
    from billing_worker.changes.services import import_object
else:
    import_object = lazy_module("billing_worker.changes.services.import_object")


@click.command()
@click.argument("subscription_id", metavar="SUBSCRIPTION")
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation, context: click.Context, /, *, subscription_id: str, as_json: bool, **_: bool
) -> None:
    """Read a subscription at Stripe and store it in the mirror, through its lane like an event.

    Importing it again does no harm: what the mirror has already and newer stays.
    """
    with open_door(invocation, context) as door:
        found = import_object.import_object(door, "subscription", subscription_id)
    show_change(found, subscription_facts(found.data), as_json=as_json)
