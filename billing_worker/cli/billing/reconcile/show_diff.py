"""List what the last comparison with Stripe found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation import queries
    from billing_worker.domains.reconciliation.services import describe_run
else:
    queries = lazy_module("billing_worker.domains.reconciliation.queries")
    describe_run = lazy_module("billing_worker.domains.reconciliation.services.describe_run")


@click.command("show-diff")
@click.option("--run", "run_id", type=int, help="Of this comparison; default: the last one.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, *, run_id: int | None, limit: int, as_json: bool) -> None:
    """List the objects that differed, with the fields and whether they are healed.

    Values of personal fields are masked: look at the object itself, here and at Stripe.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        described = describe_run.describe_run(session, now=unit_of_work.now(), run_id=run_id)
        found = queries.list_differences(session, int(str(described["run"])), limit=limit)
    rows = [
        {
            "object": difference.object_key,
            "kind": difference.kind,
            "fields": difference.fields,
            "found_at": difference.found_at,
            "healed_at": difference.healed_at,
        }
        for difference in found
    ]
    show_rows(rows, as_json=as_json, empty=f"comparison {described['run']} found nothing that differs")
