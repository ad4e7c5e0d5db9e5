"""Try whether a user's limits hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing.quota._rows import case_row

if TYPE_CHECKING:
    from billing_worker.domains.quotas.services import probe_enforcement
    from billing_worker.domains.usage.services import load_metrics
else:
    probe_enforcement = lazy_module("billing_worker.domains.quotas.services.probe_enforcement")
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, user: str, as_json: bool) -> None:
    """Ask for one unit, for all that is left and for one more, as real checks do; nothing is counted.

    Exit code 1: an answer is not what the limit calls for, or enforcement is switched off.
    """
    settings = load_command_settings(invocation)
    enforcing = settings.quota_enforcement_enabled
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            cases = probe_enforcement.probe_enforcement(
                session,
                user,
                metrics=load_metrics.load_metrics(),
                zone=settings.billing_timezone,
                enforcing=enforcing,
                now=now,
            )
    show_rows([case_row(case) for case in cases], as_json=as_json)
    if not enforcing:
        say("QUOTA_ENFORCEMENT_ENABLED=false: nobody is refused; `nself env set QUOTA_ENFORCEMENT_ENABLED=true`")
    if not enforcing or any(case.expected != case.answered for case in cases):
        context.exit(1)
