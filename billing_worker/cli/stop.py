"""Stop services after their work in hand; everything for no name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._audit import record_operation
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import say

if TYPE_CHECKING:
    from billing_worker.stack import stop
else:
    stop = lazy_module("billing_worker.stack.stop")


@click.command()
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@click.option("--with-intake", is_flag=True, help="Stop the receiver too: Stripe will retry what it cannot deliver.")
@pass_invocation
def command(invocation: Invocation, services: tuple[str, ...], *, with_intake: bool) -> None:
    """Stop services after their work in hand; everything for no name.

    `stop billing` keeps the receiver storing webhooks unless --with-intake is given.
    """
    stopped = stop.stop_services(invocation.environ, services, with_intake=with_intake, tell=say)
    if stopped:
        record_operation(invocation.environ, "stop", services)
