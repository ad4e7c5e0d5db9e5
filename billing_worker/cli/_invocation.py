"""What every command is given: the process environment, read at the entry point and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the command line."""

    environ: Mapping[str, str]


pass_invocation = click.make_pass_decorator(Invocation)
"""Decorator: the command's first argument is the Invocation."""
