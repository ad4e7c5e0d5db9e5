"""List movements of money."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows
from billing_worker.kernel.money import Money

if TYPE_CHECKING:
    from billing_worker.domains.payments import queries
else:
    queries = lazy_module("billing_worker.domains.payments.queries")


@click.command()
@click.option("--customer", metavar="ID", help="Only of this customer, e.g. cus_123.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, customer: str | None, limit: int, as_json: bool) -> None:
    """List charges, refunds and disputes, newest first, each once; `mode` tells test from live money."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.list_transactions(session, customer_id=customer, limit=limit)
    rows = [
        {
            "occurred_at": movement.occurred_at,
            "kind": movement.kind,
            "id": movement.stripe_id,
            "amount": str(Money(movement.amount_minor, movement.currency)),
            "amount_minor": movement.amount_minor,
            "currency": movement.currency,
            "charge": movement.charge_id,
            "customer": movement.customer_id,
            "mode": "live" if movement.livemode else "test",
        }
        for movement in found
    ]
    show_rows(rows, as_json=as_json, empty="no money has moved yet")
