"""Compare the mirror with Stripe and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_container
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli.billing.reconcile._runs import compare_and_show

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation import rules
else:
    rules = lazy_module("billing_worker.domains.reconciliation.rules")


@click.command()
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only these, e.g. customer; may be repeated.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, types: tuple[str, ...], as_json: bool) -> None:
    """Compare the mirror with Stripe and heal nothing; exit code 1 when something differed.

    `nself billing reconcile` compares the same and heals.
    """
    with open_container(invocation) as container:
        scope = rules.Scope(types=rules.check_types(types or rules.DEFAULT_TYPES), heals=False)
        compare_and_show(container, context, scope, must_resume=False, as_json=as_json)
