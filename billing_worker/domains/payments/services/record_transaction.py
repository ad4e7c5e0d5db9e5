"""Record one movement of money."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_worker.domains.payments.models import Transaction
from billing_worker.domains.payments.states import TransactionKind
from billing_worker.effects.runner import DueEffect, EffectOutcome
from billing_worker.kernel.clock import from_unix


def record_transaction(session: Session, effect: DueEffect, now: datetime) -> EffectOutcome:
    """Write the row of a charge, refund or dispute into the ledger.

    Idempotent by: kind and Stripe's id: the same movement told by two events is one row.
    """
    told = effect.payload
    kind = TransactionKind(told["kind"])
    session.execute(
        insert(Transaction)
        .values(
            account_id=effect.account_id,
            transaction_key=f"{kind.value}:{told['stripe_id']}",
            kind=kind,
            stripe_id=told["stripe_id"],
            charge_id=told["charge_id"],
            payment_intent_id=told["payment_intent_id"],
            customer_id=effect.customer_id,
            amount_minor=told["amount_minor"],
            currency=told["currency"],
            livemode=told["livemode"],
            occurred_at=from_unix(told["occurred_at"]),
            recorded_at=now,
        )
        .on_conflict_do_nothing(constraint="uq_billing_transactions_account_key")
    )
    return EffectOutcome("done")
