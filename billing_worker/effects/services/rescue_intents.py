"""Take up the intents that a crash or an unreachable Stripe left open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.effects.intent_queries import list_open_intents
from billing_worker.effects.intents import IntentBusyError, SnapshotSink
from billing_worker.effects.services.run_intent import run_intent
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.switches.board import SwitchBoard

BATCH = 20


def rescue_intents(
    unit_of_work: UnitOfWork, gateway: StripeGateway, *, board: SwitchBoard, sink: SnapshotSink
) -> Mapping[str, int]:
    """Run every open intent that is due, once, and count the statuses they reached.

    Order: oldest first. Idempotent by: each intent's key and lease.
    """
    reached: Counter[str] = Counter()
    started_at = unit_of_work.now()
    while True:
        with unit_of_work.transaction() as session:
            # A run that does not end an intent moves its next attempt beyond `started_at`, so the loop ends.
            batch = list_open_intents(session, started_at, size=BATCH)
        if not batch:
            return reached
        for intent_id in batch:
            try:
                outcome = run_intent(unit_of_work, gateway, intent_id, board=board, sink=sink)
            except IntentBusyError:
                reached["busy"] += 1
            else:
                reached[outcome.status.value] += 1
