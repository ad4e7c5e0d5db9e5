"""List stored payments that failed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option, since_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.payments import queries
else:
    queries = lazy_module("billing_worker.domains.payments.queries")


@click.command()
@since_option
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, since: datetime | None, limit: int, as_json: bool) -> None:
    """List stored payments that failed, newest first, with Stripe's reason."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = queries.list_failed_queue(session, since=since, limit=limit)
    rows = [
        {
            "finished_at": payment.finished_at,
            "payment": payment.payment_key,
            "customer": payment.customer_id,
            "invoice": payment.invoice_id,
            "amount_minor": payment.amount_minor,
            "currency": payment.currency,
            "reason": payment.detail,
        }
        for payment in found
    ]
    show_rows(rows, as_json=as_json, empty="no stored payment has failed")
