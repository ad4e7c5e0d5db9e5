"""Let a blocked user go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option, reason_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.quota._rows import status_row

if TYPE_CHECKING:
    from billing_worker.domains.quotas.services import unblock_user
    from billing_worker.domains.usage.services import aggregate_usage, load_metrics
else:
    unblock_user = lazy_module("billing_worker.domains.quotas.services.unblock_user")
    aggregate_usage, load_metrics = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("aggregate_usage", "load_metrics")
    )


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only the quota of this metric.")
@reason_option
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    user: str,
    metric: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Measure a user's quotas anew and release him where units are left or the period is over.

    Refused while nothing is left, because the next check would block again: reset the quota or raise its limit.
    """
    settings, metrics = load_command_settings(invocation), load_metrics.load_metrics()
    zone = settings.billing_timezone
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context, reason=reason):
        aggregate_usage.aggregate_usage(unit_of_work, metrics=metrics, zone=zone)
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            released = unblock_user.unblock_user(
                session,
                user,
                metric_type=metric,
                closed_by="operator",
                metrics=metrics,
                zone=zone,
                enforcing=settings.quota_enforcement_enabled,
                now=now,
            )
    show_rows([status_row(one) for one in released], as_json=as_json)
