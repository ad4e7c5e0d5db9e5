"""Give a user a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli.billing._integers import IntegerType
from billing_worker.cli.billing.quota._rows import quota_row
from billing_worker.domains.quotas.rules import KINDS, QuotaTerms
from billing_worker.domains.quotas.states import Enforcement
from billing_worker.kernel.periods import PeriodKind

if TYPE_CHECKING:
    from billing_worker.audit import rules as audit_rules
    from billing_worker.domains.quotas.services import find_billing_anchor, set_quota
    from billing_worker.domains.usage.services import load_metrics
else:
    audit_rules = lazy_module("billing_worker.audit.rules")
    find_billing_anchor, set_quota = (
        lazy_module(f"billing_worker.domains.quotas.services.{name}") for name in ("find_billing_anchor", "set_quota")
    )
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", required=True, help="One of `nself billing usage list-metrics`.")
@click.option("--limit", type=IntegerType("1000"), required=True, help="Units per period.")
@click.option("--period", type=click.Choice([kind.value for kind in KINDS]), required=True, help="When it resets.")
@click.option(
    "--enforcement",
    type=click.Choice([one.value for one in Enforcement]),
    default=Enforcement.HARD.value,
    show_default=True,
    help="hard blocks when no unit is left, soft only shows.",
)
@click.option("--rollover", is_flag=True, help="Carry what is left into the next period, one limit at most.")
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    user: str,
    metric: str,
    limit: int,
    period: str,
    enforcement: str,
    rollover: bool,
    as_json: bool,
) -> None:
    """Give a user so many units of a metric per day, week, month or billing period of the subscription.

    A new limit holds at once. Another period ends the open one now and counts from now on.
    """
    settings, kind = load_command_settings(invocation), PeriodKind(period)
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context):
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            anchor = find_billing_anchor.find_billing_anchor(session, user) if kind is PeriodKind.BILLING else None
            opened = set_quota.set_quota(
                session,
                QuotaTerms(user, metric, kind, limit, Enforcement(enforcement), rollover, anchor),
                set_by=audit_rules.name_actor(),
                metrics=load_metrics.load_metrics(),
                zone=settings.billing_timezone,
                enforcing=settings.quota_enforcement_enabled,
                now=now,
            )
    show_facts(quota_row(opened), as_json=as_json)
