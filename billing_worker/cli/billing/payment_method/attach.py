"""Attach a payment method to a customer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door, show_change
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.domains.payment_methods.services import attach_payment_method
else:
    attach_payment_method = lazy_module("billing_worker.domains.payment_methods.services.attach_payment_method")


@click.command()
@click.option("--customer", required=True, metavar="ID", help="Whose it becomes, e.g. cus_123.")
@click.option("--payment-method", required=True, metavar="ID", help="What Checkout or Elements gave, e.g. pm_123.")
@click.option("--default", "as_default", is_flag=True, help="Invoices are paid with it from now on.")
@change_options
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    customer: str,
    payment_method: str,
    as_default: bool,
    as_json: bool,
    **_: bool,
) -> None:
    """Attach a payment method to a customer; in test mode also a test card by its name, e.g. pm_card_visa."""
    with open_door(invocation, context, question=f"Attach {payment_method} to {customer}?") as door:
        made = attach_payment_method.attach_payment_method(
            door, payment_method_id=payment_method, customer_id=customer, as_default=as_default
        )
    card = made.data.get("card") or {}
    facts = {"payment_method": made.stripe_id, "customer": customer, "brand": card.get("brand")}
    show_change(made, facts | {"last4": card.get("last4"), "is_default": as_default}, as_json=as_json)
