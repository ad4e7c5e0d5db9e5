"""What of the overview wants attention, and which command tells more. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from billing_worker.doctor.checks import schedules, webhooks, workers
from billing_worker.doctor.findings import describe_age
from billing_worker.doctor.queries import EffectFigures, LastReconciliation, ScheduleFigures
from billing_worker.inbox.reports import Backlog
from billing_worker.switches.states import Switches

RECONCILED_ENOUGH = frozenset({"running", "done"})


@dataclass(frozen=True, slots=True)
class Standing:
    """How the work stands at one moment."""

    at: datetime
    clock_offset_seconds: int
    switches: Switches
    inbox: Backlog
    effects: EffectFigures
    schedules: ScheduleFigures
    payments_waiting: int
    last_reconciliation: LastReconciliation | None


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that somebody should look at, and the command that tells more."""

    what: str
    command: str


def list_attention(standing: Standing) -> list[Attention]:
    """Return what wants attention, the most urgent first."""
    return [*_of_inbox(standing), *_of_schedules(standing), *_of_effects(standing), *_of_money(standing)]


def _of_inbox(standing: Standing) -> Iterator[Attention]:
    inbox, oldest = standing.inbox, standing.inbox.oldest_pending_at
    if oldest is not None and standing.at - oldest > webhooks.LATE:
        waited = describe_age(standing.at - oldest)
        yield Attention(f"an event has waited for {waited}", "nself billing health --component webhooks")
    if stopped := inbox.failed + inbox.quarantined:
        yield Attention(f"{stopped} events could not be applied", "nself billing webhook failures")


def _of_schedules(standing: Standing) -> Iterator[Attention]:
    figures, oldest = standing.schedules, standing.schedules.oldest_late_at
    if figures.unscheduled or (oldest is not None and standing.at - oldest > schedules.LATE):
        late = figures.unscheduled + figures.late
        yield Attention(f"{late} scheduled runs are late", "nself billing health --component schedules")
    if figures.failed:
        yield Attention(f"{figures.failed} scheduled runs failed in 24 h", "nself billing errors --last 24h")


def _of_effects(standing: Standing) -> Iterator[Attention]:
    figures, oldest = standing.effects, standing.effects.oldest_due_at
    if oldest is not None and standing.at - oldest > workers.EFFECTS_LATE:
        yield Attention(f"{figures.due} effects are due and not done", "nself billing health --component workers")
    if stopped := figures.failed + figures.unknown:
        yield Attention(f"{stopped} effects failed or ended unknown", "nself billing errors --last 7d")
    if figures.intents_parked:
        yield Attention(f"{figures.intents_parked} calls to Stripe are parked", "nself billing errors --last 7d")


def _of_money(standing: Standing) -> Iterator[Attention]:
    last = standing.last_reconciliation
    if standing.payments_waiting and not standing.switches.queue_payments:
        yield Attention(f"{standing.payments_waiting} stored payments wait", "nself billing process-queue")
    if last is not None and last.status not in RECONCILED_ENOUGH:
        yield Attention(f"the last reconciliation is {last.status}", "nself billing reconcile status")
