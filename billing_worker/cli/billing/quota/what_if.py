"""Ask whom a limit would have blocked."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._durations import DAY
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_rows
from billing_worker.cli.billing._integers import IntegerType
from billing_worker.cli.billing.quota._rows import replay_row
from billing_worker.cli.billing.usage._spans import read_span
from billing_worker.domains.quotas.rules import KINDS, QuotaTerms
from billing_worker.kernel.periods import PeriodKind

if TYPE_CHECKING:
    from billing_worker.domains.quotas.services import find_billing_anchor, replay_limit
    from billing_worker.domains.usage.services import load_metrics
else:
    find_billing_anchor, replay_limit = (
        lazy_module(f"billing_worker.domains.quotas.services.{name}")
        for name in ("find_billing_anchor", "replay_limit")
    )
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


@click.command()
@click.option("--metric", required=True, help="One of `nself billing usage list-metrics`.")
@click.option("--limit", type=IntegerType("1000"), required=True, help="Units per period.")
@click.option("--period", type=click.Choice([kind.value for kind in KINDS]), required=True, help="When it resets.")
@click.option("--user", help="Only this user; needed for billing periods.")
@click.option("--start", type=DAY, help="First day of past usage; default: this month.")
@click.option("--end", type=DAY, help="Last day, included; default: today.")
@json_option
@pass_invocation
def command(
    invocation: Invocation,
    *,
    metric: str,
    limit: int,
    period: str,
    user: str | None,
    start: date | None,
    end: date | None,
    as_json: bool,
) -> None:
    """Replay real past usage against a limit: who would have been blocked, and when; nothing is changed."""
    zone, kind = load_command_settings(invocation).billing_timezone, PeriodKind(period)
    if kind is PeriodKind.BILLING and user is None:
        raise click.UsageError("billing periods differ from user to user: add --user, or take --period month")
    with open_unit_of_work(invocation) as unit_of_work:
        span = read_span(month=None, period=None, start=start, end=end, now=unit_of_work.now(), zone=zone)
        with unit_of_work.transaction() as session:
            anchor = (
                find_billing_anchor.find_billing_anchor(session, user) if user and kind is PeriodKind.BILLING else None
            )
            terms = QuotaTerms(user or "*", metric, kind, limit, anchor=anchor)
            replay = replay_limit.replay_limit(
                session, terms, span, everybody=user is None, metrics=load_metrics.load_metrics(), zone=zone
            )
    users, blocked = {use.user_id for use in replay.uses}, {use.user_id for use in replay.blocked}
    show_rows([replay_row(use, limit) for use in replay.blocked], as_json=as_json, empty="nobody")
    say(
        f"{len(blocked)} of {len(users)} users would have been blocked, in {len(replay.blocked)} of "
        f"{len(replay.uses)} used periods ({len(replay.periods)} periods of a {kind} looked at)"
    )
