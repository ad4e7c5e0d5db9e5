"""Discard held usage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.usage._held import held_row

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import discard_held
else:
    discard_held = lazy_module("billing_worker.domains.usage.services.discard_held")


@click.command()
@click.argument("ids", metavar="ID…", type=int, nargs=-1, required=True)
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit trail.")
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation, context: click.Context, ids: tuple[int, ...], *, reason: str, as_json: bool
) -> None:
    """Take held records off the list for good; the log keeps what they said.

    `nself billing usage list-held` shows their ids.
    """
    with open_unit_of_work(invocation) as unit_of_work:
        with audited(unit_of_work, context, reason=reason), unit_of_work.transaction() as session:
            gone = discard_held.discard_held(session, ids, reason=reason)
        rows = [held_row(one) for one in gone]
    show_rows(rows, as_json=as_json)
