"""How the outcome of a rehearsal is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from billing_worker.cli._output import say

if TYPE_CHECKING:
    from billing_worker.rehearsal.summary import Summary
    from billing_worker.runtime.settings import Settings


def show_summary(summary: Summary, *, as_json: bool) -> None:
    """Print the summary: a JSON object, or a table and the verdict."""
    facts = _facts(summary)
    if as_json:
        flat = {name: value for group in facts.values() for name, value in group.items()}
        click.echo(json.dumps({**flat, "problems": summary.verdict.problems}, default=str, indent=1))
        return
    click.echo("")
    width = max(len(name) for group in facts.values() for name in group)
    for title, group in facts.items():
        click.echo(click.style(title, bold=True))
        for name, value in group.items():
            click.echo(f"  {name.replace('_', ' '):<{width}}  {value}")
    click.echo("")
    if summary.verdict.is_good:
        click.echo(click.style("Nothing lost, nothing failed, nothing done twice, nothing different.", fg="green"))
        return
    click.echo(click.style(f"{len(summary.verdict.problems)} things are wrong:", fg="red"))
    for problem in summary.verdict.problems:
        click.echo(f"  - {problem}")


def show_addresses(settings: Settings) -> None:
    """Tell where everything is to be seen."""
    say(f"receiver  http://127.0.0.1:{settings.billing_receiver_port}/webhooks/stripe")
    say(f"usage API http://127.0.0.1:{settings.billing_api_port}/v1/usage")
    say("          key: nself env get BILLING_API_KEYS --reveal")
    say(f"flower    http://127.0.0.1:{settings.flower_port}/")
    say("          user and password: nself env get FLOWER_BASIC_AUTH --reveal")
    say(f"sandbox   {settings.stripe_api_base}/v1/customers")


def _facts(summary: Summary) -> dict[str, dict[str, object]]:
    month, figures = summary.month, summary.figures
    return {
        "Time": {
            "simulated": f"{month.started_at:%Y-%m-%d} to {month.ended_at:%Y-%m-%d}",
            "took_seconds": round(month.seconds, 1),
        },
        "Events": _events(summary),
        "Mirror against Stripe": {
            "objects_compared": summary.comparison.compared,
            "differences": summary.comparison.differing,
            "refreshed": f"{summary.reconciled.refreshed} in the last reconciliation, whose changes have no events",
        },
        "Money": {
            "movements_in_the_ledger": figures.transactions,
            "payments_recovered": figures.retries.get("recovered", 0),
            "payments_declined_again": figures.retries.get("declined", 0),
            "payments_given_up": figures.retries.get("given_up", 0),
            "payments_waiting": figures.retries.get("waiting", 0),
        },
        "Usage and quotas": {
            "usage_recorded": f"{month.recorded} records, {month.repeated} repetitions recognised",
            "usage_not_aggregated": figures.usage_open_batches,
            "rollups_that_differ_from_records": figures.rollup_differences,
            "quota_resets_done": figures.quota_resets,
        },
        "Work": _work(summary),
    }


def _events(summary: Summary) -> dict[str, object]:
    inbox, sent = summary.inbox, summary.deliveries
    return {
        "events_at_stripe": sent.events,
        "delivered": f"{sent.delivered} since the sandbox started",
        "disturbed": f"{sent.late} late, {sent.twice} twice, {sent.reordered} out of order",
        "stored": f"{inbox.stored} ({inbox.snapshots} of them snapshots taken here)",
        "applied": inbox.by_status["applied"],
        "superseded": f"{inbox.superseded} of them, by newer ones",
        "ignored": inbox.by_status["ignored"],
        "quarantined": inbox.by_status["quarantined"],
        "failed": inbox.by_status["failed"],
        "waiting": inbox.by_status["pending"],
    }


def _work(summary: Summary) -> dict[str, object]:
    figures, seconds = summary.figures, summary.month.seconds
    return {
        "effects_done": figures.effects.get("done", 0),
        "effects_skipped": figures.effects.get("skipped", 0),
        "schedule_runs_done": figures.runs.get("done", 0),
        "deliveries_per_second": round(summary.deliveries.delivered / seconds, 1) if seconds else 0.0,
        "delivery_to_applied_ms": f"p50 {figures.waited_p50_ms:.0f}, p99 {figures.waited_p99_ms:.0f}",
    }
