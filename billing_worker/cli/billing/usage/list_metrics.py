"""List metrics."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import load_metrics
else:
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@json_option
def command(*, as_json: bool) -> None:
    """List what can be metered, with formula, unit and rounding."""
    show_rows([asdict(metric) for metric in load_metrics.load_metrics()], as_json=as_json)
