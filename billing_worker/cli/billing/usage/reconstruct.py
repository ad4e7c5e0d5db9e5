"""Build lost records again from the log."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._durations import DAY
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option
from billing_worker.cli._output import say, show_facts
from billing_worker.domains.usage.rules import span_of_days

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import reconstruct_usage
    from billing_worker.stack import read_logs
else:
    reconstruct_usage = lazy_module("billing_worker.domains.usage.services.reconstruct_usage")
    read_logs = lazy_module("billing_worker.stack.read_logs")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--from-logs", is_flag=True, required=True, help="Read this installation's logs.")
@click.option("--date", "day", type=DAY, required=True, help="The local day of use, e.g. 2026-01-15.")
@click.option(
    "--log-file",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A log kept elsewhere, instead; may be given again.",
)
@dry_run_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    user: str,
    from_logs: bool,  # noqa: ARG001 - the only source there is
    day: date,
    files: tuple[Path, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write the records of a user and day that the log has and the database has not; twice is once.

    Every accepted record is in the log before it is committed. One whose commit failed and that was sent again under
    its key is recognised.
    """
    zone = load_command_settings(invocation).billing_timezone
    span = span_of_days(day, day, zone)
    if files:
        lines = [line for file in files for line in read_logs.parse_lines(file.name, file.read_text().splitlines())]
    else:
        lines = read_logs.read_logs(invocation.environ, (), tail=sys.maxsize, containing=reconstruct_usage.EVENT)
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()

        def reconstruct() -> reconstruct_usage.Reconstruction:
            with unit_of_work.transaction() as session:
                return reconstruct_usage.reconstruct_usage(
                    session, (line.fields for line in lines), user_id=user, period=span, is_dry_run=dry_run, now=now
                )

        if dry_run:
            done = reconstruct()
        else:
            with audited(unit_of_work, context):
                done = reconstruct()
    facts = {"user": user, "date": day.isoformat(), "dry_run": dry_run, "logged": done.logged, "present": done.present}
    facts |= {"sent_again": done.retried, "in_closed_periods": done.closed}
    show_facts(facts | {"reconstructed": len(done.missing), "units": done.units}, as_json=as_json)
    if not done.logged:
        say("the log has no record of that user and day; rotated logs kept elsewhere can be given with --log-file")
