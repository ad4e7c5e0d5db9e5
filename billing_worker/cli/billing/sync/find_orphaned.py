"""Find objects that only one side has, or whose parent is missing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import say, show_rows

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation.services import find_orphans
else:
    find_orphans = lazy_module("billing_worker.domains.reconciliation.services.find_orphans")


@click.command()
@limit_option
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, limit: int, as_json: bool) -> None:
    """Find what only Stripe has, what only the mirror has, and what has no parent here; exit code 1 when there is any.

    The first two are those of the last comparison: `nself billing sync compare` makes a new one.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found, compared_at = find_orphans.find_orphans(session, limit=limit)
    say(
        "nothing was compared with Stripe yet: `nself billing sync compare` does"
        if compared_at is None
        else f"compared with Stripe at {compared_at.isoformat(' ', 'seconds')}"
    )
    show_rows([asdict(one) for one in found], as_json=as_json, empty="no orphans")
    if found:
        context.exit(EXIT_DIFFERENCES)
