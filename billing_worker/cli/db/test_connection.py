"""Prove step by step that the database can be reached and used."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._errors import EXIT_UNAVAILABLE
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.doctor.services import prove_connection
else:
    prove_connection = lazy_module("billing_worker.doctor.services.prove_connection")


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Prove step by step that the database can be reached and used; exit code 5 at the first step that fails.

    Steps: the URL, the server's address, the connection, the schema, and a write that is rolled back.
    """
    steps = prove_connection.prove_connection(load_command_settings(invocation))
    show_rows([asdict(step) for step in steps], as_json=as_json)
    if not steps[-1].ok:
        context.exit(EXIT_UNAVAILABLE)
