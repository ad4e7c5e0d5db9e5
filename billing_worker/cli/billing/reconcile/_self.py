"""Compare the mirror with Stripe and heal what differs."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_container
from billing_worker.cli._durations import DAY
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option
from billing_worker.cli.billing.reconcile._runs import compare_and_show

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation import rules
else:
    rules = lazy_module("billing_worker.domains.reconciliation.rules")


@click.command("reconcile")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only these, e.g. customer; may be repeated.")
@click.option("--start", type=DAY, help="Only objects created on this day or later, e.g. 2026-01-01.")
@click.option("--end", type=DAY, help="Only objects created on this day or earlier, e.g. 2026-01-31.")
@click.option(
    "--batch-size", type=click.IntRange(1, 100), default=100, show_default=True, help="Objects per call to Stripe."
)
@click.option("--resume", is_flag=True, help="Go on with the comparison that was left incomplete.")
@dry_run_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    types: tuple[str, ...],
    start: date | None,
    end: date | None,
    batch_size: int,
    resume: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compare the mirror with Stripe, page by page; exit code 1 when something differed.

    What differs is sent through the lanes like an event and never overwrites a newer one. What Stripe no longer has is
    reported and kept. A comparison that Stripe cuts short ends incomplete; --resume goes on where it stopped.
    """
    if resume and (types or start or end or dry_run):
        raise click.UsageError("--resume goes on with what was asked for then: leave the other options out")
    if start and end and end < start:
        raise click.UsageError(f"--end {end} lies before --start {start}")
    with open_container(invocation) as container:
        zone = container.settings.billing_timezone
        scope = rules.scope_of_days(types, start, end, zone=zone, batch_size=batch_size, heals=not dry_run)
        compare_and_show(container, context, scope, must_resume=resume, as_json=as_json)
