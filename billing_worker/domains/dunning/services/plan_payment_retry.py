"""Answer a failed payment with a plan."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.dunning.rules import check_ours_to_chase
from billing_worker.domains.payments.queries import find_invoice_status
from billing_worker.domains.payments.rules import RetryPolicy
from billing_worker.domains.payments.services.store_retry import Failure, store_retry
from billing_worker.effects.runner import DueEffect, EffectOutcome
from billing_worker.kernel.clock import from_unix
from billing_worker.switches.board import SwitchBoard


def plan_payment_retry(
    session: Session, effect: DueEffect, now: datetime, *, board: SwitchBoard, policy: RetryPolicy
) -> EffectOutcome:
    """Store the retry that a failed payment calls for, or say why it is not ours to chase.

    The decline code is not part of the invoice's event, and the events that carry it (charge, payment intent) name no
    invoice and may come later: the plan is provisional until the collector has read the code at Stripe, at once.
    Idempotent by: account, invoice and the failure's instant.
    """
    told = effect.payload
    why_not = check_ours_to_chase(
        told,
        collector=board.read(session).collector,
        invoice_status=find_invoice_status(session, effect.account_id, told["invoice"]),
    )
    if why_not is not None:
        return EffectOutcome("skipped", why_not)
    failure = Failure(
        account_id=effect.account_id,
        invoice_id=told["invoice"],
        failed_at=from_unix(told["failed_at"]),
        attempt_count=told["attempt_count"],
        subscription_id=told["subscription"],
        customer_id=effect.customer_id,
        amount_minor=told["amount_due_minor"],
        currency=told["currency"],
    )
    stored = store_retry(session, failure, policy=policy, now=now)
    if stored is None:
        return EffectOutcome("skipped", "a later failure of this invoice is planned for already")
    return EffectOutcome("done", stored.explanation)
