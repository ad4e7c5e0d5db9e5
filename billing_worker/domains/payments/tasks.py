"""Tasks of payments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.payments.handlers import RECORD_TRANSACTION
from billing_worker.domains.payments.queries import count_due_retries, count_settled_releases
from billing_worker.domains.payments.rules import RetryPolicy
from billing_worker.domains.payments.services.collect_due_payments import Collector, collect_due_payments
from billing_worker.domains.payments.services.record_transaction import record_transaction
from billing_worker.domains.payments.services.settle_released_payments import settle_released_payments
from billing_worker.effects.intent_queries import count_open_intents
from billing_worker.effects.runner import count_due
from billing_worker.effects.services.rescue_intents import rescue_intents
from billing_worker.effects.services.run_due_effects import run_due_effects
from billing_worker.inbox.services.write_through import write_through
from billing_worker.stripe_gateway.priority import Priority
from billing_worker.switches.board import SwitchBoard
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import EFFECTS, PAYMENTS
from billing_worker.worker.tasks import task


@task("payments.collect_due", queue=PAYMENTS, soft_limit_seconds=300, hard_limit_seconds=360)
def collect_due(container: Container) -> Mapping[str, object]:
    """Learn new declines and collect the invoices whose retry is due."""
    collector = Collector(
        gateway=container.stripe.on_behalf_of(Priority.PAYMENTS),
        board=SwitchBoard(container.settings),
        policy=RetryPolicy.parse(container.settings.billing_payment_retry_days),
        sink=write_through,
    )
    return collect_due_payments(container.unit_of_work, collector)


@task("payments.rescue_intents", queue=PAYMENTS, soft_limit_seconds=300, hard_limit_seconds=360)
def rescue_open_intents(container: Container) -> Mapping[str, object]:
    """Take up the calls to Stripe that a crash or an unreachable Stripe left open."""
    board = SwitchBoard(container.settings)
    gateway = container.stripe.on_behalf_of(Priority.PAYMENTS)
    reached = rescue_intents(container.unit_of_work, gateway, board=board, sink=write_through)
    with container.unit_of_work.transaction() as session:
        settled = settle_released_payments(session, now=container.unit_of_work.now())
    return {**reached, "queue_settled": settled}


@task("payments.record_transactions", queue=EFFECTS)
def record_transactions(container: Container) -> Mapping[str, object]:
    """Write new charges, refunds and disputes into the ledger of money."""
    return asdict(run_due_effects(container.unit_of_work, {RECORD_TRANSACTION: record_transaction}))


def _count_unrecorded(session: Session, now: datetime) -> int:
    return count_due(session, (RECORD_TRANSACTION,), now)


def _count_open(session: Session, now: datetime) -> int:
    return count_open_intents(session, now) + count_settled_releases(session)


PROBES = (
    Probe("transactions", "payments.record_transactions", EFFECTS, _count_unrecorded),
    Probe("due_payments", "payments.collect_due", PAYMENTS, count_due_retries),
    Probe("open_intents", "payments.rescue_intents", PAYMENTS, _count_open),
)
