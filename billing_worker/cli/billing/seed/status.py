"""Show what is seeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows
from billing_worker.cli._seeds import open_test_stripe

if TYPE_CHECKING:
    from billing_worker.seeds.services import count_seeds
else:
    count_seeds = lazy_module("billing_worker.seeds.services.count_seeds")


@click.command()
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show what is seeded: how much of which kind, and by which command."""
    found = count_seeds.count_seeds(open_test_stripe(invocation).client)
    show_rows(found, as_json=as_json, empty="nothing is seeded: `nself billing seed run`")
