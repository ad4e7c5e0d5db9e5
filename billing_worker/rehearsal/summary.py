"""What the month came to, and whether anything was lost, failed, done twice or different."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.reconciliation.services.reconcile import Reconciled
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.domains.usage.services.count_rollup_differences import count_rollup_differences
from billing_worker.inbox.queries import InboxCounts, count_inbox
from billing_worker.rehearsal.compare_mirror import Comparison
from billing_worker.rehearsal.month import MonthReport
from billing_worker.rehearsal.shop_client import ShopClient


@dataclass(frozen=True)
class Deliveries:
    """What the sandbox says it did; since its start, not only in this month."""

    events: int
    delivered: int
    late: int
    twice: int
    reordered: int


@dataclass(frozen=True)
class Figures:
    """Counts out of our rows for the month's time span."""

    usage_recorded: int
    usage_open_batches: int
    rollup_differences: int
    quota_resets: int
    quota_overdue: int
    retries: Mapping[str, int]
    effects: Mapping[str, int]
    runs: Mapping[str, int]
    transactions: int
    waited_p50_ms: float
    waited_p99_ms: float


@dataclass
class Verdict:
    """Sentences about what is wrong; none means that nothing is."""

    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Say whether nothing was lost, failed, doubled or different."""
        return not self.problems


@dataclass(frozen=True)
class Summary:
    """Everything the summary shows."""

    month: MonthReport
    deliveries: Deliveries
    inbox: InboxCounts
    figures: Figures
    comparison: Comparison
    reconciled: Reconciled
    verdict: Verdict


def read_figures(session: Session, month: MonthReport, metrics: MetricCatalog, zone: ZoneInfo) -> Figures:
    """Count our rows of the month."""
    span = {"start": month.started_at, "end": month.ended_at}
    p50, p99 = session.execute(
        text(
            "SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY waited_ms), 0), "
            "coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY waited_ms), 0) "
            "FROM billing.billing_webhook_events WHERE received_at >= :start AND source = 'webhook' "
            # an event that waited over a step of the clock did not wait in anybody's time
            "AND waited_ms < 600000"
        ),
        span,
    ).one()
    return Figures(
        usage_recorded=_one(session, "SELECT count(*) FROM billing.billing_usage WHERE recorded_at >= :start", span),
        usage_open_batches=_one(
            session, "SELECT count(*) FROM billing.billing_usage_batches WHERE aggregated_at IS NULL", {}
        ),
        rollup_differences=count_rollup_differences(session, metrics=metrics, zone=zone),
        quota_resets=_one(
            session, "SELECT count(*) FROM billing.billing_quota_periods WHERE closed_at >= :start", span
        ),
        quota_overdue=_one(
            session,
            "SELECT count(*) FROM billing.billing_quota_periods WHERE status = 'open' AND period_end <= :end",
            span,
        ),
        retries=_counts(session, "SELECT status, count(*) FROM billing.billing_payment_retries GROUP BY status"),
        effects=_counts(session, "SELECT status, count(*) FROM billing.billing_effects GROUP BY status"),
        runs=_counts(session, "SELECT status, count(*) FROM billing.billing_schedule_runs GROUP BY status"),
        transactions=_one(session, "SELECT count(*) FROM billing.billing_transactions", {}),
        waited_p50_ms=float(p50),
        waited_p99_ms=float(p99),
    )


def read_deliveries(client: ShopClient) -> Deliveries:
    """Ask the sandbox what it delivered."""
    counters = client.control("deliveries")
    return Deliveries(
        events=int(counters["events"]),
        delivered=int(counters["deliveries"]),
        late=int(counters["late"]),
        twice=int(counters["duplicates"]),
        reordered=int(counters["reordered"]),
    )


def judge(
    session: Session, client: ShopClient, inbox: InboxCounts, figures: Figures, comparison: Comparison
) -> Verdict:
    """Hold our rows against the sandbox's own record and say everything that does not fit."""
    verdict = Verdict()
    _judge_events(session, client, inbox, verdict)
    _judge_money(session, client, verdict)
    verdict.problems.extend(f"mirror and Stripe: {example}" for example in comparison.examples)
    if figures.rollup_differences:
        verdict.problems.append(f"{figures.rollup_differences} usage rollups differ from their records")
    if figures.usage_open_batches:
        verdict.problems.append(f"{figures.usage_open_batches} usage batches are not aggregated")
    if figures.quota_overdue:
        verdict.problems.append(f"{figures.quota_overdue} quota periods are over and not reset")
    for name, counts in (("effects", figures.effects), ("schedule runs", figures.runs)):
        if failed := counts.get("failed", 0):
            verdict.problems.append(f"{failed} {name} failed: nself billing errors --last 24h")
    return verdict


def _judge_events(session: Session, client: ShopClient, inbox: InboxCounts, verdict: Verdict) -> None:
    stored = set(
        session.execute(
            text("SELECT event_id FROM billing.billing_webhook_events WHERE source IN ('webhook', 'events_api')")
        ).scalars()
    )
    lost = [event["id"] for event in client.list_all("events") if event["id"] not in stored]
    if lost:
        verdict.problems.append(f"{len(lost)} events of Stripe are not in the inbox, for example {lost[0]}")
    for status in ("pending", "failed", "quarantined"):
        if count := inbox.by_status[status]:
            verdict.problems.append(f"{count} events are {status}: nself billing webhook failures")


def _judge_money(session: Session, client: ShopClient, verdict: Verdict) -> None:
    """Compare every movement of money: each once here, none twice at Stripe."""
    theirs = Counter[str]()
    paid_twice = Counter[str]()
    for charge in client.list_all("charges"):
        if charge["paid"]:
            theirs[f"charge {charge['id']} {charge['amount']}"] += 1
    for refund in client.list_all("refunds"):
        if refund["status"] == "succeeded":
            theirs[f"refund {refund['id']} {refund['amount']}"] += 1
    for payment in client.list_all("invoice_payments", status="paid"):
        paid_twice[str(payment["invoice"])] += 1
    ours = Counter(
        f"{kind} {stripe_id} {amount}"
        for kind, stripe_id, amount in session.execute(
            text(
                "SELECT kind, stripe_id, amount_minor FROM billing.billing_transactions "
                "WHERE kind IN ('charge', 'refund')"
            )
        )
    )
    for missing in (theirs - ours).elements():
        verdict.problems.append(f"not in our ledger: {missing}")
    for extra in (ours - theirs).elements():
        verdict.problems.append(f"in our ledger and not at Stripe: {extra}")
    for invoice, count in paid_twice.items():
        if count > 1:
            verdict.problems.append(f"invoice {invoice} was paid {count} times")


def gather(
    session: Session,
    client: ShopClient,
    month: MonthReport,
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    comparison: Comparison,
    reconciled: Reconciled,
) -> Summary:
    """Collect everything the summary shows."""
    inbox = count_inbox(session)
    figures = read_figures(session, month, metrics, zone)
    verdict = judge(session, client, inbox, figures, comparison)
    if reconciled.differing:
        verdict.problems.append(
            f"{reconciled.differing} objects had missed an event: nself billing reconcile show-diff"
        )
    return Summary(month, read_deliveries(client), inbox, figures, comparison, reconciled, verdict)


def _one(session: Session, statement: str, parameters: Mapping[str, datetime]) -> int:
    return int(session.execute(text(statement), parameters).scalar_one())


def _counts(session: Session, statement: str) -> dict[str, int]:
    rows: list[Any] = list(session.execute(text(statement)))
    return {str(name): int(count) for name, count in rows}
