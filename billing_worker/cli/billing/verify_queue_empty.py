"""Prove that no stored payment is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.domains.payments import queries
else:
    queries = lazy_module("billing_worker.domains.payments.queries")


@click.command("verify-queue-empty")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Prove that no stored payment is left; exit code 1 when some wait."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        waiting = queries.count_queued_payments(session)
    show_facts({"waiting": waiting, "is_empty": waiting == 0}, as_json=as_json)
    if waiting:
        context.exit(EXIT_DIFFERENCES)
