"""List scheduled runs and their state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows
from billing_worker.worker.ledger.states import STUCK, RunStatus
from schedules import JOBS

if TYPE_CHECKING:
    from billing_worker.worker.ledger import queries
else:
    queries = lazy_module("billing_worker.worker.ledger.queries")


@click.command()
@click.option(
    "--status",
    "statuses",
    type=click.Choice([*(status.value for status in RunStatus), STUCK]),
    multiple=True,
    help="Only runs in this state.",
)
@click.option("--type", "job", type=click.Choice([*JOBS]), help="Only runs of this job.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, statuses: tuple[str, ...], job: str | None, limit: int, as_json: bool) -> None:
    """List scheduled runs, the newest slot first."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        wanted = {RunStatus.RUNNING if status == STUCK else RunStatus(status) for status in statuses}
        runs = queries.list_runs(session, statuses=wanted, job=job, limit=limit, only_idle=STUCK in statuses)
    rows = [
        {
            "job": run.job,
            "due_at": run.due_at,
            "status": run.status.value,
            "attempts": run.attempts,
            "not_before": run.not_before,
            "worker": run.worker,
            "heartbeat_at": run.heartbeat_at,
            "finished_at": run.finished_at,
            "report": run.report,
            "detail": run.detail,
        }
        for run in runs
    ]
    show_rows(rows, as_json=as_json, empty="no such run; `nself status beat` shows whether the scheduler runs")
