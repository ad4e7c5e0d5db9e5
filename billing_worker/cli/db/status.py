"""Show the database's size, connections, schema and largest tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.doctor.services import read_database
else:
    read_database = lazy_module("billing_worker.doctor.services.read_database")


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Show the database's size, connections, schema and largest tables.

    Exit code 1 when the schema is not this release's.
    """
    with open_unit_of_work(invocation) as unit_of_work:
        state = read_database.read_database(unit_of_work)
    tables = [asdict(each) for each in state.tables]
    if as_json:
        show_facts({**state.as_facts(), "tables": tables}, as_json=True)
    else:
        show_facts(state.as_facts(), as_json=False)
        show_rows(tables, as_json=False)
    if state.schema != state.schema_wanted:
        say("the schema is not this release's: python -m migrations upgrade")
        context.exit(EXIT_DIFFERENCES)
