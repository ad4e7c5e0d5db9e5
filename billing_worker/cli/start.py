"""Start services, with the servers they need; everything for no name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._audit import record_operation
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import say

if TYPE_CHECKING:
    from billing_worker.stack import start
else:
    start = lazy_module("billing_worker.stack.start")


@click.command()
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@pass_invocation
def command(invocation: Invocation, services: tuple[str, ...]) -> None:
    """Start services, with the servers they need; everything for no name.

    A service is postgres, redis, stripe-mock, receiver, worker-webhooks, worker-billing, usage-collector, mail, beat
    or flower; billing is all of ours. What runs already is left alone.
    """
    started = start.start_services(invocation.environ, services, tell=say)
    if started:
        record_operation(invocation.environ, "start", services)
