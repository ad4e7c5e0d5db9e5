"""Correct an overage with its figures."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._durations import INSTANT
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, reason_option
from billing_worker.cli._output import say
from billing_worker.cli.billing._integers import IntegerType
from billing_worker.cli.billing.overage._rows import overage_row, show_overage_rows

if TYPE_CHECKING:
    from billing_worker.domains.overage.services import update_overage
else:
    update_overage = lazy_module("billing_worker.domains.overage.services.update_overage")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--usage", type=IntegerType("1500"), required=True, help="Units used, as they should have counted.")
@click.option("--quota", type=IntegerType("1000"), required=True, help="Units granted.")
@click.option("--rate", metavar="AMOUNT", required=True, help="For a unit, in dollars or alike: 0.10 is ten cents.")
@click.option("--metric", help="Which overage, where the user has several.")
@click.option("--at", type=INSTANT, help="A time in the period that is corrected; default: the newest period.")
@reason_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    user: str,
    usage: int,
    quota: int,
    rate: str,
    metric: str | None,
    at: datetime | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Correct what a user used beyond a quota and what it costs.

    Before it is billed the overage itself is rewritten; afterwards the difference becomes an adjustment, a credit where
    it was too much, and --reason is needed. The shown amount of an adjustment is the difference, in minor units.
    """
    if usage < 0 or quota < 0:
        raise click.UsageError("--usage and --quota are 0 or more, for example 1500 and 1000")
    correction = update_overage.Correction(usage, quota, rate, (reason or "").strip())
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context, reason=reason):
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            written = update_overage.update_overage(session, user, correction, metric_type=metric, within=at, now=now)
            rows = [] if written is None else [overage_row(written, written.invoice_id)]
    show_overage_rows(rows, as_json=as_json, empty="nothing to correct: these are its figures already")
    if written is not None:
        say("workers bill it: `nself billing quota show-overage` shows when it is on an invoice")
