"""Release held usage."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import load_metrics, release_held
else:
    load_metrics, release_held = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("load_metrics", "release_held")
    )


@click.command()
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, as_json: bool) -> None:
    """Record every held record whose user and metric are known by now, each once."""
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context):
        report = release_held.release_held(unit_of_work, metrics=load_metrics.load_metrics())
    show_facts(asdict(report), as_json=as_json)
