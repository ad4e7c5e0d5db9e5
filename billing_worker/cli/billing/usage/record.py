"""Record usage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._actions import audited
from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._moments import MOMENT, Moment, at
from billing_worker.cli._options import json_option
from billing_worker.cli._output import show_facts
from billing_worker.cli.billing._integers import IntegerType
from billing_worker.domains.usage.rules import UsageRecord
from billing_worker.domains.usage.states import Unknown

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import load_metrics, record_usage
else:
    load_metrics, record_usage = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("load_metrics", "record_usage")
    )


@click.command()
@click.option("--user", required=True, help="Id of the user.")
@click.option("--metric", required=True, help="One of `nself billing usage list-metrics`.")
@click.option("--value", type=IntegerType("2"), required=True, help="Whole units.")
@click.option("--at", "used_at", type=MOMENT, help="When it was used, e.g. 2026-01-15T10:00:00Z or 2h; default: now.")
@click.option("--idempotency-key", help="Records under the same key count once.")
@click.option("--unique-key", help="What a metric of different keys counts, e.g. a visitor's id.")
@json_option
@click.pass_context
@pass_invocation
def command(
    invocation: Invocation,
    context: click.Context,
    *,
    user: str,
    metric: str,
    value: int,
    used_at: Moment | None,
    idempotency_key: str | None,
    unique_key: str | None,
    as_json: bool,
) -> None:
    """Record that a user used so many units of a metric.

    Rollups follow within a second where workers run; `nself billing usage aggregate` does it at once.
    """
    unknown = Unknown(load_command_settings(invocation).usage_unknown)
    with open_unit_of_work(invocation) as unit_of_work, audited(unit_of_work, context):
        now = unit_of_work.now()
        record = UsageRecord(user, metric, value, at(used_at, now), unique_key, idempotency_key)
        with unit_of_work.transaction() as session:
            outcome = record_usage.record_usage(
                session, [record], metrics=load_metrics.load_metrics(), source="cli", now=now, unknown=unknown
            )
        for refused in outcome.refused:
            raise refused.error
    facts: dict[str, object] = {"user": user, "metric": metric, "value": value, "used_at": record.created_at or now}
    facts |= {"recorded": outcome.accepted, "duplicates": outcome.duplicates, "batch": outcome.batch_id}
    if outcome.held:
        facts["held"] = outcome.held[0][1].value
    show_facts(facts, as_json=as_json)
