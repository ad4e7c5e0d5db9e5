"""Take failed or stuck runs off the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import confirm, dry_run_option, json_option, reason_option, yes_option
from billing_worker.cli._output import show_rows
from billing_worker.worker.ledger.states import STUCK, RunStatus
from schedules import JOBS

if TYPE_CHECKING:
    from billing_worker.audit import rules
    from billing_worker.worker.ledger.services import clear_runs
else:
    rules = lazy_module("billing_worker.audit.rules")
    clear_runs = lazy_module("billing_worker.worker.ledger.services.clear_runs")


@click.command()
@click.option(
    "--status",
    type=click.Choice([*(status.value for status in RunStatus), STUCK]),
    required=True,
    help="Runs in this state.",
)
@click.option("--type", "job", type=click.Choice([*JOBS]), help="Only runs of this job.")
@dry_run_option
@yes_option
@reason_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    status: str,
    job: str | None,
    dry_run: bool,
    yes: bool,
    reason: str | None,
    as_json: bool,
) -> None:
    """Mark failed or stuck runs as skipped; a run that holds a lease is at work and stays.

    Nothing is run by this. Work that is still due is found by its own rows, and the next slot runs as ever.
    """
    with open_unit_of_work(invocation) as unit_of_work:
        wanted = RunStatus.RUNNING if status == STUCK else RunStatus(status)
        now, actor = unit_of_work.now(), rules.name_actor()
        if dry_run:
            with unit_of_work.transaction() as session:
                found = clear_runs.clear_runs(session, status=wanted, job=job, actor=actor, now=now, dry_run=True)
        else:
            if status not in {RunStatus.FAILED, STUCK}:
                confirm(f"Runs that are {status} would still be done. Skip them?", yes=yes)
            with audited(unit_of_work, context, reason=reason), unit_of_work.transaction() as session:
                found = clear_runs.clear_runs(session, status=wanted, job=job, actor=actor, now=now)
    rows = [{"job": name, "due_at": due_at, "cleared": not dry_run} for name, due_at in found]
    show_rows(rows, as_json=as_json, empty=f"no {status} run to clear")
