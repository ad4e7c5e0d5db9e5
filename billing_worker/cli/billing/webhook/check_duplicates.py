"""Prove that no event is stored twice and no effect happened twice."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts

if TYPE_CHECKING:
    from billing_worker.inbox import reports
else:
    reports = lazy_module("billing_worker.inbox.reports")


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Prove that no event is stored twice and no effect happened twice; exit code 1 when one is.

    Event ids and effect keys are unique per account in the database itself. `absorbed` deliveries came again, as
    Stripe's may, and changed nothing.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = reports.find_duplicates(session)
    show_facts(asdict(found), as_json=as_json)
    if found.under_two_accounts:
        say("one event under two accounts: `nself billing webhook deduplicate --dry-run` lists the rows")
    if found.stored_twice or found.under_two_accounts or found.effects_twice:
        context.exit(EXIT_DIFFERENCES)
