"""Show a customer's next invoice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli.billing.invoice._previews import show_preview

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions import previews
else:
    previews = lazy_module("billing_worker.domains.subscriptions.previews")


@click.command()
@click.option("--customer", "customer_id", required=True, metavar="CUS", help="Whose.")
@click.option(
    "--subscription", "subscription_id", metavar="SUB", help="Of which subscription, where there are several."
)
@json_option
@pass_invocation
def command(invocation: Invocation, *, customer_id: str, subscription_id: str | None, as_json: bool) -> None:
    """Show what Stripe will bill a customer next, as it is now."""
    with open_subject(invocation) as subject:
        wanted = {"customer": customer_id, "subscription": subscription_id}
        asked = {name: value for name, value in wanted.items() if value is not None}
        invoice = subject.gateway.preview_invoice(asked).data
    show_preview(previews.read_preview(invoice), as_json=as_json)
