"""Change a customer's mail address, name, address or tax status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from billing_worker.cli._changes import change_options, open_door, show_change
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli.billing.customer._fields import customer_fields, read_fields

if TYPE_CHECKING:
    from billing_worker.domains.customers.services import update_customer
else:
    update_customer = lazy_module("billing_worker.domains.customers.services.update_customer")


@click.command()
@click.argument("customer")
@click.option("--default-payment-method", metavar="ID", help="What invoices are paid with, e.g. pm_123.")
@customer_fields
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    customer: str,
    default_payment_method: str | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - whatever customer_fields adds
) -> None:
    """Change a customer at Stripe; what is not named stays, an empty text clears."""
    fields = read_fields(options)
    if default_payment_method is not None:
        fields["invoice_settings"] = {"default_payment_method": default_payment_method}
    if not fields:
        raise click.UsageError(
            f"say what changes, for example: nself billing customer update {customer} --email user@example.com", context
        )
    with open_door(invocation, context, question=f"Change {', '.join(fields)} of {customer}?") as door:
        made = update_customer.update_customer(door, customer, fields)
    show_change(made, {"customer": customer, **{name: made.data.get(name) for name in fields}}, as_json=as_json)
