"""Restart services with the settings of now; everything for no name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._audit import record_operation
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import say

if TYPE_CHECKING:
    from billing_worker.stack import restart
else:
    restart = lazy_module("billing_worker.stack.restart")


@click.command()
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@pass_invocation
def command(invocation: Invocation, services: tuple[str, ...]) -> None:
    """Restart services with the settings of now; everything for no name."""
    restart.restart_services(invocation.environ, services, tell=say)
    record_operation(invocation.environ, "restart", services)
