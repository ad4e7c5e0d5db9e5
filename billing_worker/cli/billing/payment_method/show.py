"""Show a payment method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._mirror import show_comparison, show_object
from billing_worker.cli._options import json_option

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from billing_worker.domains.payment_methods.services import describe_payment_method
else:
    describe_payment_method = lazy_module("billing_worker.domains.payment_methods.services.describe_payment_method")


@click.command()
@click.argument("payment_method")
@click.option("--compare", is_flag=True, help="Ask Stripe too and show where it differs; exit code 1 if it does.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, payment_method: str, compare: bool, as_json: bool) -> None:
    """Show a payment method as the mirror has it: whose it is, which card, whether it has expired."""

    def describe(session: Session) -> dict[str, object]:
        return describe_payment_method.describe_payment_method(session, payment_method)

    if compare:
        show_comparison(invocation, "payment_method", payment_method, describe, as_json=as_json)
    else:
        show_object(invocation, describe, as_json=as_json)
