"""Bring the rollups up to date now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.domains.quotas.services import refresh_quota_usage
    from billing_worker.domains.usage.services import aggregate_usage, load_metrics
else:
    refresh_quota_usage = lazy_module("billing_worker.domains.quotas.services.refresh_quota_usage")
    aggregate_usage, load_metrics = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("aggregate_usage", "load_metrics")
    )


@click.command()
@click.option("--force", is_flag=True, help="Accepted for scripts; it is always safe to aggregate.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, force: bool, as_json: bool) -> None:  # noqa: ARG001 - accepted
    """Aggregate every open batch and carry it over to the quotas.

    Workers may aggregate at the same time: each batch is added once, by whoever claims it.
    """
    settings, metrics = load_command_settings(invocation), load_metrics.load_metrics()
    zone, enforcing = settings.billing_timezone, settings.quota_enforcement_enabled
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context):
        report = aggregate_usage.aggregate_usage(unit_of_work, metrics=metrics, zone=zone)
        quotas = refresh_quota_usage.refresh_quota_usage(unit_of_work, metrics=metrics, zone=zone, enforcing=enforcing)
    facts = {"batches": report.batches, "records": report.records, "quota_periods": quotas.periods}
    show_facts(facts | {"blocked": quotas.blocked, "released": quotas.released}, as_json=as_json)
