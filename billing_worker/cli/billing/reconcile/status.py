"""Show the last comparison with Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation.services import describe_run
else:
    describe_run = lazy_module("billing_worker.domains.reconciliation.services.describe_run")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show the last comparison with Stripe: how far it is, what it found and what is healed.

    Only `done` has seen everything; `incomplete` was cut short and goes on with `nself billing reconcile --resume`.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        facts = describe_run.describe_run(session, now=unit_of_work.now())
    show_facts(facts, as_json=as_json)
