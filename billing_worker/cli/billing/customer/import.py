"""Copy a customer of Stripe into the mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door, show_change
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.changes.services import import_object
else:
    import_object = lazy_module("billing_worker.changes.services.import_object")


@click.command("import")
@click.argument("customer")
@change_options
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, /, *, customer: str, as_json: bool, **_: bool) -> None:
    """Copy a customer of Stripe into the mirror; safe to repeat, an older copy never overwrites a newer one."""
    with open_door(invocation, context) as door:
        made = import_object.import_object(door, "customer", customer)
    show_change(made, {"customer": customer, "email": made.data.get("email")}, as_json=as_json)
