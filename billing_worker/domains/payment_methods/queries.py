"""What the mirror knows of declines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class DeclineSeen:
    """The last decline of a payment method, payment intent or charge."""

    code: str
    failed_at: datetime | None
    charge_id: str | None
    payment_intent_id: str | None
    customer_id: str | None
    bank_says: str | None


_LAST = text(
    """
    WITH found AS (
        SELECT coalesce(data #>> '{outcome,reason}', failure_code, 'generic_decline') AS code, charged_at AS failed_at,
               id AS charge_id, payment_intent_id, customer_id, data ->> 'failure_message' AS bank_says, 1 AS rank
        FROM billing.billing_charges
        WHERE account_id = :account_id AND status = 'failed'
          AND (id = :id OR payment_intent_id = :id OR data ->> 'payment_method' = :id)
        UNION ALL
        SELECT coalesce(data #>> '{last_payment_error,decline_code}', data #>> '{last_payment_error,code}'),
               to_timestamp((data ->> 'created')::bigint), data #>> '{last_payment_error,charge}', id, customer_id,
               data #>> '{last_payment_error,message}', 2
        FROM billing.billing_payment_intents
        WHERE account_id = :account_id AND data -> 'last_payment_error' ->> 'code' IS NOT NULL
          AND (id = :id OR data #>> '{last_payment_error,payment_method,id}' = :id)
    )
    SELECT code, failed_at, charge_id, payment_intent_id, customer_id, bank_says FROM found
    ORDER BY failed_at DESC NULLS LAST, rank LIMIT 1
    """
)


def find_last_decline(session: Session, object_id: str, account_id: str = "") -> DeclineSeen | None:
    """Return the last decline that a payment method, payment intent or charge has met."""
    row = session.execute(_LAST, {"account_id": account_id, "id": object_id}).one_or_none()
    return None if row is None else DeclineSeen(*row)
