"""Check a user's overage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing.overage._rows import audit_row

if TYPE_CHECKING:
    from billing_worker.domains.overage.services import audit_overages
    from billing_worker.domains.usage.services import load_metrics
else:
    audit_overages = lazy_module("billing_worker.domains.overage.services.audit_overages")
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only overage of this metric.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, /, *, user: str, metric: str | None, as_json: bool) -> None:
    """Compute each overage anew from the records and its kept price, and hold it against its invoice item.

    Exit code 1: something does not fit. Amounts in minor units.
    """
    zone = load_command_settings(invocation).billing_timezone
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        audited = audit_overages.audit_overages(
            session, user, metric_type=metric, metrics=load_metrics.load_metrics(), zone=zone
        )
        rows = [audit_row(one) for one in audited]
    show_rows(rows, as_json=as_json, empty=f"user {user} has no overage")
    wrong = sum(bool(one.problems) for one in audited)
    if rows:
        say(f"{len(rows) - wrong} of {len(rows)} fit")
    if wrong:
        context.exit(1)
