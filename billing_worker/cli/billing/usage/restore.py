"""Bring archived records back."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._durations import DAY
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli.billing._archives import open_place, require_archive_parts
from billing_worker.domains.usage.rules import span_of_days

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import restore_usage
else:
    restore_usage = lazy_module("billing_worker.domains.usage.services.restore_usage")


@click.command()
@click.option("--user", help="Id of the user.")
@click.option("--all-users", is_flag=True, help="The whole month (UTC) of that day, of everybody.")
@click.option("--date", "day", type=DAY, required=True, help="The local day of use, e.g. 2026-01-15.")
@dry_run_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    user: str | None,
    all_users: bool,
    day: date,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write raw records back from the archive of their month; twice is once.

    Rollups never lost them and stay as they are.
    """
    if all_users == (user is not None):
        raise click.UsageError("say once of whom: --user user123 or --all-users")
    require_archive_parts()
    settings = load_command_settings(invocation)
    span = span_of_days(day, day, settings.billing_timezone)
    with open_unit_of_work(invocation) as unit_of_work:

        def restore() -> restore_usage.Restored:
            with unit_of_work.transaction() as session:
                return restore_usage.restore_usage(
                    session,
                    lambda location: open_place(settings, location),
                    instant=span.start,
                    user_id=user,
                    period=span,
                    is_dry_run=dry_run,
                )

        if dry_run:
            done = restore()
        else:
            with audited(unit_of_work, context):
                done = restore()
    facts: dict[str, object] = {"user": user, "date": day.isoformat(), "dry_run": dry_run}
    show_facts(
        facts | {"from": list(done.locations), "restored": done.restored, "present": done.present}, as_json=as_json
    )
