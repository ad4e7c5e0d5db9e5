"""Create a payment method from a test card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._changes import change_options, open_door, show_change
from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module

if TYPE_CHECKING:
    from billing_worker.domains.payment_methods.services import attach_payment_method
    from billing_worker.seeds.services import find_test_card
else:
    attach_payment_method = lazy_module("billing_worker.domains.payment_methods.services.attach_payment_method")
    find_test_card = lazy_module("billing_worker.seeds.services.find_test_card")


@click.command()
@click.option("--customer", required=True, metavar="ID", help="Whose it becomes, e.g. cus_123.")
@click.option("--card-number", required=True, help="One of Stripe's test cards; nothing else is taken.")
@click.option("--exp-month", required=True, type=int)
@click.option("--exp-year", required=True, type=int)
@click.option("--cvc", help="Checked and thrown away.")
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
    card_number: str,
    exp_month: int,
    exp_year: int,
    cvc: str | None,
    as_default: bool,
    as_json: bool,
    **_: bool,
) -> None:
    """Give a customer a test card, in test mode. The number is looked up here and goes no further.

    Stripe is told which test card is meant, never a number; its expiry is then the test card's own.
    """
    with open_door(invocation, context, question=f"Give {customer} a test card?") as door:
        card = find_test_card.find_test_card(
            load_command_settings(invocation),
            card_number,
            exp_month=exp_month,
            exp_year=exp_year,
            cvc=cvc,
            today=door.unit_of_work.now().date(),
        )
        made = attach_payment_method.attach_payment_method(
            door, payment_method_id=card.method, customer_id=customer, as_default=as_default
        )
    shown = made.data.get("card") or {}
    facts = {"payment_method": made.stripe_id, "customer": customer, "brand": shown.get("brand")}
    show_change(made, facts | {"last4": shown.get("last4"), "is_default": as_default}, as_json=as_json)
