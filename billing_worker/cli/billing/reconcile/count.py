"""Count objects here and at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_container
from billing_worker.cli._errors import EXIT_DIFFERENCES
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.reconciliation import rules
    from billing_worker.domains.reconciliation.services import count_objects
else:
    rules = lazy_module("billing_worker.domains.reconciliation.rules")
    count_objects = lazy_module("billing_worker.domains.reconciliation.services.count_objects")


@click.command()
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only these, e.g. customer; may be repeated.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, types: tuple[str, ...], as_json: bool) -> None:
    """Count objects here and at Stripe, type by type; exit code 1 when the figures differ.

    Stripe tells no totals: its lists are read in pages of 100, one call each.
    """
    with open_container(invocation) as container:
        wanted = rules.check_types(types or rules.DEFAULT_TYPES)
        counted = count_objects.count_objects(container.unit_of_work, container.stripe, types=wanted)
    show_rows([{"type": one.name, "here": one.here, "at_stripe": one.at_stripe} for one in counted], as_json=as_json)
    if any(one.here != one.at_stripe for one in counted):
        context.exit(EXIT_DIFFERENCES)
