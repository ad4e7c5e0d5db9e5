"""Reset whatever is due now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import confirm, dry_run_option, json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.domains.quotas.queries import resets
    from billing_worker.domains.quotas.services import reset_due_quotas
    from billing_worker.domains.usage.services import aggregate_usage, load_metrics
else:
    resets = lazy_module("billing_worker.domains.quotas.queries.resets")
    reset_due_quotas = lazy_module("billing_worker.domains.quotas.services.reset_due_quotas")
    aggregate_usage, load_metrics = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("aggregate_usage", "load_metrics")
    )


@click.command()
@click.option("--force", is_flag=True, help="Do not ask.")
@dry_run_option
@json_option
@click.pass_context
@pass_invocation
def command(invocation: Invocation, context: click.Context, *, force: bool, dry_run: bool, as_json: bool) -> None:
    """Reset every quota whose period has ended, as the scheduled job does: each missed period once.

    Periods that still run are left alone: `quota reset --user` ends one of those.
    """
    settings, metrics = load_command_settings(invocation), load_metrics.load_metrics()
    zone = settings.billing_timezone
    with open_unit_of_work(invocation) as unit_of_work:
        now = unit_of_work.now()
        with unit_of_work.transaction() as session:
            due = resets.get_next_reset(session, now).overdue
        if dry_run:
            show_facts({"due": due}, as_json=as_json)
            return
        if due:
            confirm(f"Reset {due} quotas whose period has ended?", yes=force)
        with audited(unit_of_work, context):
            aggregate_usage.aggregate_usage(unit_of_work, metrics=metrics, zone=zone)
            report = reset_due_quotas.reset_due_quotas(
                unit_of_work,
                metrics=metrics,
                zone=zone,
                enforcing=settings.quota_enforcement_enabled,
                closed_by="operator",
            )
    facts = {"due": due, "closed": report.closed, "passed": report.passed, "released": report.released}
    show_facts(facts, as_json=as_json)
