"""Reset a user's quota now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option, reason_option
from billing_worker.cli._output import show_rows
from billing_worker.cli.billing.quota._rows import quota_row, status_row

if TYPE_CHECKING:
    from billing_worker.domains.quotas.queries import periods
    from billing_worker.domains.quotas.services import reset_quota
    from billing_worker.domains.usage.services import load_metrics
else:
    periods = lazy_module("billing_worker.domains.quotas.queries.periods")
    reset_quota = lazy_module("billing_worker.domains.quotas.services.reset_quota")
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only the quota of this metric.")
@reason_option
@dry_run_option
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
    dry_run: bool,
    as_json: bool,
) -> None:
    """End the open periods of a user's quotas now and start new ones up to the regular end.

    Used starts at nothing, a block ends; the ended periods stay in the history, closed by operator.
    """
    settings = load_command_settings(invocation)
    with open_unit_of_work(invocation) as unit_of_work:
        if dry_run:
            with unit_of_work.transaction() as session:
                open_now = periods.get_open_periods_of_user(session, user, metric)
            show_rows([status_row(one) for one in open_now], as_json=as_json)
            return
        now = unit_of_work.now()
        with audited(unit_of_work, context, reason=reason), unit_of_work.transaction() as session:
            opened = reset_quota.reset_quota(
                session,
                user_id=user,
                metric_type=metric,
                metrics=load_metrics.load_metrics(),
                zone=settings.billing_timezone,
                enforcing=settings.quota_enforcement_enabled,
                now=now,
            )
    show_rows([quota_row(one) for one in opened], as_json=as_json)
