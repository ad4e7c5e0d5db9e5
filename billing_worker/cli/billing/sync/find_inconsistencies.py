"""Find what does not fit together in the mirror."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation import inconsistencies
else:
    inconsistencies = lazy_module("billing_worker.domains.reconciliation.inconsistencies")


@click.command()
@limit_option
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, limit: int, as_json: bool) -> None:
    """Find objects that contradict each other here: access, ledger, amounts, unproved order. Stripe is not asked.

    Exit code 1 when there are any; `nself billing sync compare` holds the mirror against Stripe.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = inconsistencies.list_inconsistencies(session, limit=limit)
    show_rows([asdict(one) for one in found], as_json=as_json, empty="everything fits together")
    if found:
        context.exit(EXIT_DIFFERENCES)
