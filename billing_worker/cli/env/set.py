"""Write settings into the env file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from billing_worker.cli._audit import record_operation
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import say

if TYPE_CHECKING:
    from billing_worker.stack import env_file
else:
    env_file = lazy_module("billing_worker.stack.env_file")

FROM_STDIN = "-"


@click.command()
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@pass_invocation
def command(invocation: Invocation, assignments: tuple[str, ...]) -> None:
    """Write settings into the env file, in one step, after checking that they can work.

    NAME=- reads the value from standard input, which keeps a secret out of the shell's history. An empty value unsets.
    """
    values = dict(_parse(assignment) for assignment in assignments)
    remarks = env_file.set_values(invocation.environ, values)
    record_operation(invocation.environ, "env set", assignments)
    for assignment in assignments:
        name, _, written = assignment.partition("=")
        if env_file.is_secret(name) and written not in {"", FROM_STDIN}:
            say(f"{name} may now be in the shell's history: next time `nself env set {name}=-` reads it from input")
    for remark in remarks:
        say(remark)
    say(f"written: {', '.join(values)}; running services take it up with `nself restart billing`")


def _parse(assignment: str) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{assignment!r} is no assignment; write for example STRIPE_MAX_RETRIES=3")
    return name, sys.stdin.readline().rstrip("\r\n") if value == FROM_STDIN else value
