"""Store what Stripe shall be asked for so that one overage lands on an invoice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.domains.overage.models import Overage
from billing_worker.domains.overage.rules import OVERAGE_MARK
from billing_worker.domains.overage.states import OverageKind, OverageStatus
from billing_worker.effects.services.create_intent import create_intent
from billing_worker.kernel.keys import object_key

OPERATION = "invoiceitems.create"


def start_billing(
    session: Session, row: Overage, *, subscription_id: str | None, draft_id: str | None, now: datetime
) -> None:
    """Store the intent of a row's invoice item: on the draft of the renewal, else waiting for the next invoice.

    Idempotent by: the row's key and attempt. Locks: the caller holds the row.
    """
    customer_id = str(row.customer_id)
    what = f"{row.units} beyond {row.granted_value}"
    if row.kind is OverageKind.ADJUSTMENT:
        what = f"correction, {row.units:+} beyond {row.granted_value}" if row.units else "correction"
    row.intent_id = create_intent(
        session,
        account_id=row.account_id,
        intent_key=row.intent_key,
        operation=OPERATION,
        parameters={
            "customer": customer_id,
            "amount": row.amount_minor,
            "currency": row.currency,
            "description": f"{row.metric_type}: {what} ({row.period_start:%Y-%m-%d} to {row.period_end:%Y-%m-%d})",
            "period": {"start": int(row.period_start.timestamp()), "end": int(row.period_end.timestamp())},
            "metadata": {OVERAGE_MARK: row.overage_key, "nself_metric": row.metric_type, "nself_user": row.user_id},
            # Stripe derives the subscription from the invoice, and takes only one of the two.
            "invoice": draft_id,
            "subscription": subscription_id if draft_id is None else None,
        },
        customer_id=customer_id,
        parent_key=object_key(row.account_id, "customer", customer_id),
        priority="payments",
        now=now,
    )
    row.status = OverageStatus.BILLING
    row.subscription_id, row.invoice_id = subscription_id, draft_id
    row.next_attempt_at = now
    row.detail = ""
