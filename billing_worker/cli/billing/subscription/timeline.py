"""Show what happened to a subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.kernel.errors import NotFoundError

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions.services import tell_timeline
else:
    tell_timeline = lazy_module("billing_worker.domains.subscriptions.services.tell_timeline")


@click.command()
@click.argument("subscription_id", metavar="SUBSCRIPTION")
@json_option
@pass_invocation
def command(invocation: Invocation, subscription_id: str, *, as_json: bool) -> None:
    """Show what happened to a subscription, in Stripe's order: its status, trial, price and end after each event.

    `nself billing webhook timeline` shows when each event arrived and what became of it.
    """
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        moments = tell_timeline.tell_timeline(session, subscription_id)
    if not moments:
        raise NotFoundError(
            f"no event about {subscription_id} is stored; `nself billing subscription import {subscription_id}` "
            "brings it into the mirror"
        )
    show_rows([moment.as_row() for moment in moments], as_json=as_json)
