"""Show in which order an object's events stand, and what proves each place."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, limit_option
from billing_worker.cli._output import say, show_rows

if TYPE_CHECKING:
    from billing_worker.inbox import objects
    from billing_worker.inbox.services import describe_order
else:
    objects = lazy_module("billing_worker.inbox.objects")
    describe_order = lazy_module("billing_worker.inbox.services.describe_order")


@click.command()
@click.option("--object", "object_id", required=True, metavar="ID", help="For example sub_123.")
@click.option("--account", "account_id", metavar="ID", help="The connected account, where several have such an object.")
@limit_option
@json_option
@pass_invocation
def command(invocation: Invocation, object_id: str, account_id: str | None, limit: int, *, as_json: bool) -> None:
    """Show in which order an object's events stand, and what proves each place, the oldest first.

    \b
    decided by
      alone     the only event of its second
      chain     its previous_attributes follow on from the state before
      progress  something that only grows has grown (status, attempts, amounts)
      equal     its snapshot equals a neighbour's: their order makes no difference
      ends      a deletion is the last of its second
      snapshot  taken from Stripe by us, at the time it shows
      fetch     nothing proved it: Stripe was asked, and its answer stands below
      arrival   nothing proved it and Stripe no longer has the object: as it arrived
      passed    nothing proves it and nobody had to know, a newer second followed
      waits     not applied yet; left_out and pruned ones take no part
    """  # noqa: D301 - click's mark for lines that must not be joined
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        key = objects.get_object_key(session, object_id, account_id=account_id)
        rows = describe_order.describe_order(session, key, limit=limit)
    show_rows([asdict(row) for row in rows], as_json=as_json)
    if len(rows) == limit:
        say(f"the newest {limit} are shown: --limit shows more")
