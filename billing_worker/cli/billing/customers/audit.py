"""Look for signs of fraud over all customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.customers import rules
    from billing_worker.domains.customers.services import audit_customers
else:
    rules = lazy_module("billing_worker.domains.customers.rules")
    audit_customers = lazy_module("billing_worker.domains.customers.services.audit_customers")


@click.command()
@click.option("--check-fraud", is_flag=True, help="The check there is; may be left out.")
@limit_option
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, /, *, limit: int, as_json: bool, check_fraud: bool) -> None:
    """Look over all customers for signs of fraud: warnings, disputes, card testing, stolen and shared cards.

    Each customer is shown with every sign and the object that shows it, the heaviest first; exit code 1 if anybody has
    one. Nothing is changed.
    """
    del check_fraud
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        suspects = audit_customers.audit_customers(session)
    rows = [
        {
            "customer": suspect.customer_id,
            "weight": suspect.weight,
            "look": "at once" if suspect.is_urgent else "when there is time",
            "sign": sign.rule,
            "reason": rules.MEANINGS[sign.rule],
            "evidence": sign.evidence,
        }
        for suspect in suspects[:limit]
        for sign in suspect.signs
    ]
    show_rows(rows, as_json=as_json, empty="nothing about any customer looks like fraud")
    if rows:
        context.exit(EXIT_DIFFERENCES)
