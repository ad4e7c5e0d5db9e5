"""Give a user a limit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli.billing._integers import IntegerType
from billing_worker.cli.billing.quota._rows import plan_row, quota_row
from billing_worker.cli.billing.quota._terms import read_terms
from billing_worker.domains.quotas.rules import KINDS
from billing_worker.kernel.periods import PeriodKind

if TYPE_CHECKING:
    from billing_worker.audit import rules as audit_rules
    from billing_worker.domains.quotas.services import find_billing_anchor, set_plan_quota, set_quota
    from billing_worker.domains.usage.services import load_metrics
else:
    audit_rules = lazy_module("billing_worker.audit.rules")
    find_billing_anchor, set_plan_quota, set_quota = (
        lazy_module(f"billing_worker.domains.quotas.services.{name}")
        for name in ("find_billing_anchor", "set_plan_quota", "set_quota")
    )
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--user", help="Id of the user.")
@click.option("--price", help="Instead of a user: everybody who subscribes to this price, unless he has his own.")
@click.option("--metric", required=True, help="One of `nself billing usage list-metrics`.")
@click.option("--limit", type=IntegerType("1000"), required=True, help="Units per period.")
@click.option("--period", type=click.Choice([kind.value for kind in KINDS]), required=True, help="When it resets.")
@click.option("--hard/--soft", default=True, help="hard refuses when no unit is left (default), soft only shows.")
@click.option("--alert-at", default="80,100", show_default=True, help="Percentages at which the user is told by mail.")
@click.option("--rollover", is_flag=True, help="Carry what is left into the next period, one limit at most.")
@click.option(
    "--fail-open", is_flag=True, help="Allow when neither Redis nor PostgreSQL can be asked; default: refuse."
)
@click.option("--count-both", is_flag=True, help="Recorded usage is other use than that of checks: add, never settle.")
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, /, *, as_json: bool, **words: Any) -> None:  # noqa: ANN401 - options
    """Give a user, or everybody of a price, so many units of a metric per day, week, month or billing period.

    A new limit holds at once. Another period ends the open one now and counts from now on.
    """
    settings, metrics, terms = load_command_settings(invocation), load_metrics.load_metrics(), read_terms(**words)
    zone, enforcing, price = settings.billing_timezone, settings.quota_enforcement_enabled, words["price"]
    by = audit_rules.name_actor()
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context):
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            if price:
                users = set_plan_quota.set_plan_quota(
                    session, price, terms, set_by=by, metrics=metrics, zone=zone, enforcing=enforcing, now=now
                )
                facts = plan_row(price, terms, users)
            else:
                if terms.kind is PeriodKind.BILLING:
                    terms = replace(terms, anchor=find_billing_anchor.find_billing_anchor(session, terms.user_id))
                opened = set_quota.set_quota(
                    session, terms, set_by=by, metrics=metrics, zone=zone, enforcing=enforcing, now=now
                )
                facts = quota_row(opened)
    show_facts(facts, as_json=as_json)
