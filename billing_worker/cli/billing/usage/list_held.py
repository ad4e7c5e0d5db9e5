"""List usage that was taken in and does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.usage._held import held_row

if TYPE_CHECKING:
    from billing_worker.domains.usage.queries import held
else:
    held = lazy_module("billing_worker.domains.usage.queries.held")


@click.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Lines at most.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, limit: int, as_json: bool) -> None:
    """List held records, oldest first, with the reason.

    Those of an unknown user or metric count by themselves once both are known; `nself billing usage release-held` does
    it at once. Conflicts stay until `nself billing usage discard-held`.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        found = held.list_held(session, limit=limit)
    show_rows([held_row(one) for one in found], as_json=as_json, empty="nothing is held")
