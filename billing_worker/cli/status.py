"""Show which services run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.stack import status
else:
    status = lazy_module("billing_worker.stack.status")


@click.command()
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, services: tuple[str, ...], *, as_json: bool) -> None:
    """Show which services run; exit code 1 when one that should does not."""
    rows = status.list_services(invocation.environ, services)
    show_rows([asdict(row) for row in rows], as_json=as_json)
    if not all(row.is_as_wanted for row in rows):
        context.exit(EXIT_DIFFERENCES)
