"""Move old usage records elsewhere."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._durations import DAY
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import confirm, dry_run_option, json_option, reason_option, yes_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing._archives import open_target, require_archive_parts
from billing_worker.domains.usage.rules import span_of_days
from billing_worker.kernel.errors import RefusedError

if TYPE_CHECKING:
    from billing_worker.domains.quotas.queries import closed_periods
    from billing_worker.domains.usage.services import archive_usage, load_metrics
else:
    closed_periods = lazy_module("billing_worker.domains.quotas.queries.closed_periods")
    archive_usage, load_metrics = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("archive_usage", "load_metrics")
    )


@click.command()
@click.option("--before", type=DAY, required=True, help="Whole months (UTC) before this day, e.g. 2025-01-01.")
@click.option("--to-s3", is_flag=True, help="To USAGE_ARCHIVE_S3.")
@click.option("--to-file", type=click.Path(file_okay=False, path_type=Path), help="To a folder.")
@reason_option
@yes_option
@dry_run_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    before: date,
    to_s3: bool,
    to_file: Path | None,
    reason: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write whole months of raw records as Parquet, read them back, and only then drop them here.

    Rollups stay, and with them every hour, day and month; billing periods that are over are frozen first.
    `nself billing usage restore` reads records back.
    """
    require_archive_parts()
    settings = load_command_settings(invocation)
    zone, store = settings.billing_timezone, open_target(settings, to_s3=to_s3, to_file=to_file)
    until = span_of_days(before, before, zone).start
    with open_unit_of_work(invocation) as unit_of_work:
        if until > unit_of_work.now():
            raise RefusedError(f"{before} is not over; write for example --before 2025-01-01")
        with unit_of_work.transaction() as session:
            periods = closed_periods.list_closed_billing_periods(session, until)

        def archive() -> list[archive_usage.ArchivedMonth]:
            return archive_usage.archive_usage(
                unit_of_work,
                store,
                before=until,
                closed_periods=periods,
                metrics=load_metrics.load_metrics(),
                zone=zone,
                is_dry_run=dry_run,
            )

        if dry_run:
            months = archive()
        else:
            confirm(f"Drop usage records before {before} here, once they are written and verified?", yes=yes)
            with audited(unit_of_work, context, reason=reason):
                months = archive()
    rows = [{"month": f"{one.month.start:%Y-%m}", "records": one.records, "location": one.location} for one in months]
    rows = [row | {"sha256": one.content_sha256} for row, one in zip(rows, months, strict=True)]
    show_rows(rows, as_json=as_json, empty=f"no whole month before {before} has records")
