"""Show how a metric is computed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.domains.usage.rules import describe_formula

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import load_metrics
else:
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--metric", required=True, help="One of `nself billing usage list-metrics`.")
@json_option
def command(*, metric: str, as_json: bool) -> None:
    """Show how the records of a metric become its billed quantity."""
    found = load_metrics.load_metrics().get(metric)
    show_facts(asdict(found) | {"meaning": describe_formula(found)}, as_json=as_json)
