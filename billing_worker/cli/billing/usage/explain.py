"""Explain a number."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts, show_rows
from billing_worker.domains.usage.rules import UsageSpan, span_of_words

if TYPE_CHECKING:
    from billing_worker.domains.usage.services import explain_usage, load_metrics
else:
    explain_usage, load_metrics = (
        lazy_module(f"billing_worker.domains.usage.services.{name}") for name in ("explain_usage", "load_metrics")
    )


@click.command()
@click.argument("user")
@click.argument("metric")
@click.argument("period", default="month")
@click.option("--records", "with_records", is_flag=True, help="List every record too.")
@json_option
@pass_invocation
def command(invocation: Invocation, *, user: str, metric: str, period: str, with_records: bool, as_json: bool) -> None:
    """Lead a user's total back to its parts and records, with a hash over the records.

    PERIOD is 2026-01, 2026-01-15, or the current day, week or month. The same hash proves the same records.
    """
    zone = load_command_settings(invocation).billing_timezone
    with open_unit_of_work(invocation) as unit_of_work:
        span = span_of_words(period, unit_of_work.now(), zone)
        with unit_of_work.transaction() as session:
            told = explain_usage.explain_usage(
                session, UsageSpan(user, metric, span), metrics=load_metrics.load_metrics(), zone=zone
            )
    facts: dict[str, object] = {"user": user, "metric": metric, "start": span.start, "end": span.end}
    facts |= {"meaning": told.meaning, "total": told.total, "billed_quantity": told.billed_quantity}
    facts |= {"records": told.record_count, "records_sha256": told.records_sha256, "waiting": told.waiting}
    pieces = [asdict(piece) for piece in told.pieces]
    listed = [asdict(record) for record in told.records] if with_records else []
    late = [{"used_at": used_at, "value": value, "reason": reason} for used_at, value, reason in told.adjustments]
    if as_json:
        parts: dict[str, object] = {"pieces": pieces, "adjustments": late}
        show_facts(facts | parts | ({"record_list": listed} if with_records else {}), as_json=True)
        return
    show_facts(facts, as_json=False)
    for title, rows in (("read from", pieces), ("came too late for a closed period", late), ("records", listed)):
        if rows:
            say(f"\n{title}:")
            show_rows(rows, as_json=False)
