"""Run SQL, read-only unless it is meant to write."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, reason_option
from billing_worker.cli._output import say, show_rows

if TYPE_CHECKING:
    from billing_worker.doctor.services import query_database
else:
    query_database = lazy_module("billing_worker.doctor.services.query_database")


@click.command()
@click.argument("sql")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Rows at most.")
@click.option("--write", is_flag=True, help="Let statements change rows or schema; needs --reason.")
@reason_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    sql: str,
    limit: int,
    reason: str | None,
    *,
    write: bool,
    as_json: bool,
) -> None:
    """Run SQL in one read-only transaction, under DB_QUERY_TIMEOUT.

    What changes something needs --write and --reason, is all or nothing, and leaves an audit row. The history of money
    and of operators' actions is never changed here.
    """
    if write and not (reason or "").strip():
        raise click.UsageError('--write needs --reason, for example --write --reason "ticket 4711: index for reports"')
    with (
        open_unit_of_work(invocation) as unit_of_work,
        audited(unit_of_work, context, reason=reason) if write else nullcontext(),
    ):
        results = query_database.query_database(unit_of_work, sql, limit=limit, write=write)
    if as_json:
        show_rows([asdict(result) for result in results], as_json=True)
        return
    for result in results:
        if result.affected is not None:
            say(f"{result.verb}: {result.affected} rows")
            continue
        show_rows(result.rows, as_json=False, empty="(0 rows)")
        if result.is_cut:
            say(f"only the first {limit} rows are shown: --limit takes more")
