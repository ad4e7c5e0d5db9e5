"""Compute a user's overage again."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_subject
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option, reason_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing.overage._rows import recalculated_row

if TYPE_CHECKING:
    from billing_worker.domains.overage.services import load_overage_file, read_price_book, recalculate_overages
    from billing_worker.domains.usage.services import load_metrics
else:
    load_overage_file, read_price_book, recalculate_overages = (
        lazy_module(f"billing_worker.domains.overage.services.{name}")
        for name in ("load_overage_file", "read_price_book", "recalculate_overages")
    )
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only overage of this metric.")
@reason_option
@dry_run_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    /,
    *,
    user: str,
    metric: str | None,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Measure and price a user's overage anew: what is not billed is rewritten, what is billed gets an adjustment.

    A credit needs --reason; without one it is only shown. What Stripe refused is tried again. Exit code 1: a period
    still waits for a reason or for being billed.
    """
    with open_subject(invocation) as subject:
        unit_of_work, zone = subject.unit_of_work, subject.settings.billing_timezone
        written = load_overage_file.load_overage_file(subject.settings.billing_overage_file)
        book = read_price_book.read_price_book(unit_of_work, subject.gateway, written)
        trail = nullcontext() if dry_run else audited(unit_of_work, context, reason=reason)
        with trail, unit_of_work.transaction() as session:
            done = recalculate_overages.recalculate_overages(
                session,
                user,
                book,
                metric_type=metric,
                reason=(reason or "").strip(),
                metrics=load_metrics.load_metrics(),
                zone=zone,
                now=unit_of_work.now(),
            )
            rows = [recalculated_row(one) for one in done]
            if dry_run:
                session.rollback()
    show_rows(rows, as_json=as_json)
    waiting = [one for one in done if one.waits]
    if dry_run:
        say("nothing was changed (--dry-run)")
    if waiting:
        context.exit(1)
