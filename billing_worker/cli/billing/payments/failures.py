"""List failed payments and what is done about each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows

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
    """List failed payments, newest first: the bank's code, the decision and why it was taken.

    Failures that Stripe retries itself (BILLING_COLLECTOR=stripe) have no plan of ours and are shown without one.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.list_failures(session, customer_id=customer, limit=limit)
    rows = [
        {
            "failed_at": failure.failed_at,
            "invoice": failure.invoice_id,
            "customer": failure.customer_id,
            "attempt": failure.attempt_count,
            "amount_minor": failure.amount_minor,
            "currency": failure.currency,
            "decline_code": failure.decline_code,
            "decision": failure.decision,
            "status": failure.status,
            "due_at": failure.due_at,
            "explanation": failure.explanation,
        }
        for failure in found
    ]
    show_rows(rows, as_json=as_json, empty="no payment has failed")
