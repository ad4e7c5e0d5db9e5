"""Mark events that are stored twice, under two accounts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES, EXIT_DONE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.inbox import duplicates
    from billing_worker.inbox.services import deduplicate_events
else:
    duplicates = lazy_module("billing_worker.inbox.duplicates")
    deduplicate_events = lazy_module("billing_worker.inbox.services.deduplicate_events")


@click.command()
@click.option("--dry-run", is_flag=True, help="List what would be marked; exit code 1 when there is any.")
@click.option("--execute", is_flag=True, help="Mark it.")
@limit_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation, context: click.Context, *, dry_run: bool, execute: bool, limit: int, as_json: bool
) -> int:
    """Mark events that are stored twice, under two accounts, as duplicates; the first row of each stays.

    A redelivery never makes a second row: one account holds an event id once. No row is deleted; effects of a duplicate
    that have not happened yet are stopped.
    """
    if dry_run == execute:
        raise click.UsageError("say --dry-run to look, or --execute to mark what --dry-run lists")
    with open_unit_of_work(invocation) as unit_of_work:
        if execute:
            with audited(unit_of_work, context):
                done = deduplicate_events.deduplicate_events(unit_of_work)
            show_facts(asdict(done), as_json=as_json)
            return EXIT_DONE
        with unit_of_work.transaction() as session:
            rows = [asdict(one) for one in duplicates.list_surplus(session, limit=limit)]
    show_rows(rows, as_json=as_json, empty="every event is stored once")
    return EXIT_DIFFERENCES if rows else EXIT_DONE
