"""Entry points: `nself`, and `billing` for `nself billing`."""

from __future__ import annotations

import os
import sys

import click

from billing_worker.cli._errors import run_command
from billing_worker.cli._invocation import Invocation
from billing_worker.cli._tree import NounGroup, load_command


def run() -> None:
    """Run `nself` and end the process with its exit code."""
    _run(NounGroup(()), "nself")


def run_billing() -> None:
    """Run `billing`, which is `nself billing`, and end the process with its exit code."""
    _run(load_command(("billing",)), "billing")


def _run(command: click.Command, program: str) -> None:
    invocation = Invocation(environ=dict(os.environ))  # the entry point's read; commands get it as a value
    sys.exit(run_command(command, sys.argv[1:], program=program, invocation=invocation))


if __name__ == "__main__":
    run()
