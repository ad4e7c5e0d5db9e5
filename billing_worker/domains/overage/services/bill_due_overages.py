"""Turn computed overage into invoice items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.overage.models import Overage
from billing_worker.domains.overage.queries.overages import (
    claim_billing,
    find_due_computed,
    lock_open_rows,
    postpone_due,
)
from billing_worker.domains.overage.queries.payers import find_draft, list_payers
from billing_worker.domains.overage.services.settle_overage import settle_overage
from billing_worker.domains.overage.services.start_billing import start_billing
from billing_worker.domains.overage.states import OverageStatus
from billing_worker.effects.intents import IntentBusyError, SnapshotSink
from billing_worker.effects.services.run_intent import run_intent
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.switches.board import SwitchBoard

CLAIM = timedelta(minutes=5)
HELD_WAIT = timedelta(minutes=5)
"""Safe mode ends because an operator ends it; nothing is lost by looking every five minutes."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Biller:
    """What billing needs besides rows. Units: `minimum_minor` as BILLING_MINIMUM_CHARGE."""

    gateway: StripeGateway
    board: SwitchBoard
    sink: SnapshotSink
    minimum_minor: int


def bill_due_overages(unit_of_work: UnitOfWork, biller: Biller) -> Mapping[str, int]:
    """Bill everything computed, customer by customer, and count the statuses that rows reached.

    Phases: bundle decided and intents stored (committed); each item's call; its outcome (committed). A crash leaves
    rows that are due again, and the intent's key makes the item one.
    """
    counts: Counter[str] = Counter()
    while True:
        with unit_of_work.transaction() as session:
            now = unit_of_work.now()
            held = biller.board.read(session).why_money_is_held(automatic=True)
            if held is not None:
                counts["held"] += postpone_due(session, now, now + HELD_WAIT)
                _log.info("overage_held", reason=held, rows=counts["held"])
                return counts
            first = find_due_computed(session, now)
            if first is not None:
                counts.update(_decide(session, first, biller.minimum_minor, now))
                continue
            claimed = _claim(session, now)
        if claimed is None:
            return counts
        counts[_run(unit_of_work, biller, *claimed)] += 1


def _decide(session: Session, first: Overage, minimum_minor: int, now: datetime) -> Counter[str]:
    """Bill all that a customer owes in a currency, or carry it while the sum is too small; credits never wait."""
    rows = lock_open_rows(session, first.account_id, first.customer_id, first.currency)
    total = sum(row.amount_minor for row in rows)
    if 0 <= total < minimum_minor:
        for row in rows:
            row.status, row.next_attempt_at = OverageStatus.CARRIED, None
            row.detail = f"waits until {minimum_minor} {row.currency} minor units are owed; now {total}"
        return Counter({OverageStatus.CARRIED.value: len(rows)})
    payer = list_payers(session, {row.user_id for row in rows}).get(first.user_id)
    subscription_id = payer.subscription_id if payer and payer.customer_id == first.customer_id else None
    draft_id = find_draft(session, subscription_id) if subscription_id else None
    for row in rows:
        start_billing(session, row, subscription_id=subscription_id, draft_id=draft_id, now=now)
    return Counter()


def _claim(session: Session, now: datetime) -> tuple[int, UUID] | None:
    row = claim_billing(session, now)
    if row is None or row.intent_id is None:
        return None
    row.next_attempt_at = now + CLAIM
    return row.id, row.intent_id


def _run(unit_of_work: UnitOfWork, biller: Biller, row_id: int, intent_id: UUID) -> str:
    try:
        outcome = run_intent(unit_of_work, biller.gateway, intent_id, board=biller.board, sink=biller.sink)
    except IntentBusyError:
        return "busy"
    with unit_of_work.transaction() as session:
        return settle_overage(session, row_id, outcome, now=unit_of_work.now()).value
