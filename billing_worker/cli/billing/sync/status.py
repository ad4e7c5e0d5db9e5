"""Show when mirror and Stripe were last compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation import queries
else:
    queries = lazy_module("billing_worker.domains.reconciliation.queries")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show when mirror and Stripe were last compared to the end, and how often that is done."""
    settings = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        last = queries.find_latest_done_run(session, "")
        counted = queries.count_mirrored(session)
    facts = {
        "auto_sync": settings.billing_auto_sync,
        "interval": settings.billing_sync_interval,
        "last_complete_at": last.finished_at if last else None,
        "last_compared": last.compared if last else None,
        "last_differing": last.differing if last else None,
        "last_healed": last.healed if last else None,
        "objects_here": sum(counted.values()),
    }
    show_facts(facts, as_json=as_json)
