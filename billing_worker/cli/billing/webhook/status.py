"""Show intake, backlog and failures, and the endpoint as Stripe has it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_subject
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.doctor.services import read_intake
else:
    read_intake = lazy_module("billing_worker.doctor.services.read_intake")


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Show intake, backlog and failures, and the endpoint as Stripe has it.

    Exit code 1 when events stopped or every endpoint is disabled.
    """
    with open_subject(invocation) as subject:
        intake = read_intake.read_intake(subject.unit_of_work, subject.gateway)
    if as_json:
        show_facts(intake.as_facts(), as_json=True)
    else:
        show_facts(intake.as_lines(), as_json=False)
        for title, rows in (("endpoints:", intake.endpoints), ("stopped, by type:", intake.failures)):
            if rows:
                say(title)
                show_rows([asdict(row) for row in rows], as_json=False)
    if intake.needs_attention:
        say("`nself billing webhook failures` lists what stopped, `nself billing health --component webhooks` says why")
        context.exit(EXIT_DIFFERENCES)
