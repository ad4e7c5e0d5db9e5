"""Say whether a user may go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing._integers import IntegerType
from billing_worker.cli.billing.quota._rows import decision_row, try_row
from billing_worker.domains.quotas.states import Reason

if TYPE_CHECKING:
    from billing_worker.domains.quotas import gate, lease_store
    from billing_worker.domains.quotas.queries import periods
    from billing_worker.domains.quotas.services import try_units
    from billing_worker.domains.usage.services import load_metrics
else:
    gate, lease_store = (lazy_module(f"billing_worker.domains.quotas.{name}") for name in ("gate", "lease_store"))
    periods = lazy_module("billing_worker.domains.quotas.queries.periods")
    try_units = lazy_module("billing_worker.domains.quotas.services.try_units")
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", help="Only the quota of this metric.")
@click.option("--units", type=IntegerType("1"), help="Take so many units of --metric; without it nothing counts.")
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    user: str,
    metric: str | None,
    units: int | None,
    as_json: bool,
) -> None:
    """Say whether a user may take one more unit of each quota; with --units take them, as an application does.

    Exit code 1: refused.
    """
    settings, metrics = load_command_settings(invocation), load_metrics.load_metrics()
    zone, enforcing = settings.billing_timezone, settings.quota_enforcement_enabled
    if units is not None and metric is None:
        raise click.UsageError("--units takes units of one metric: add for example --metric api_calls")
    with open_unit_of_work(invocation) as unit_of_work:
        if units is not None and metric is not None:
            url = settings.redis_url.get_secret_value()
            store = lease_store.LeaseStore(lease_store.connect(url)) if url else None
            checker = gate.QuotaGate(unit_of_work, store, metrics=metrics, zone=zone, enforcing=enforcing, leases=False)
            with audited(unit_of_work, context):
                decision = checker.check(user, metric, units)
            rows, allowed = [decision_row(user, metric, units, decision)], decision.allowed
        else:
            now = unit_of_work.now()
            with unit_of_work.transaction() as session:
                names = [one.terms.metric_type for one in periods.get_open_periods_of_user(session, user, metric)]
                tried = [
                    try_units.try_units(
                        session, user, name, 1, metrics=metrics, zone=zone, enforcing=enforcing, now=now
                    )
                    for name in names
                ]
            rows = [try_row(user, name, taken) for name, taken in zip(names, tried, strict=True)]
            allowed = all(taken.reason is not Reason.USED_UP for taken in tried)
    show_rows(rows, as_json=as_json)
    if not enforcing:
        say("QUOTA_ENFORCEMENT_ENABLED=false: nobody is refused; `nself env set QUOTA_ENFORCEMENT_ENABLED=true`")
    if not allowed:
        context.exit(1)
