"""Trials that were used."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.customers.rules import Trial

_TRIALS = text(
    """
    WITH me AS (
        SELECT account_id, id, email, user_id FROM billing.billing_customers
        WHERE account_id = :account_id AND id = :customer_id
    ), cards AS (
        SELECT DISTINCT data #>> '{card,fingerprint}' AS fingerprint FROM billing.billing_payment_methods
        WHERE account_id = :account_id AND customer_id = :customer_id AND data #>> '{card,fingerprint}' IS NOT NULL
          AND data ->> 'livemode' = 'true'
    ), alike AS (
        SELECT id, 'the customer itself' AS why, 1 AS rank FROM me
        UNION ALL
        SELECT c.id, 'the same user', 2 FROM billing.billing_customers c
        JOIN me ON c.account_id = me.account_id AND c.user_id = me.user_id AND c.id <> me.id
        UNION ALL
        SELECT c.id, 'the same mail address', 3 FROM billing.billing_customers c
        JOIN me ON c.account_id = me.account_id AND lower(c.email) = lower(me.email) AND c.id <> me.id
        UNION ALL
        SELECT p.customer_id, 'the same card', 4 FROM billing.billing_payment_methods p
        JOIN cards ON p.data #>> '{card,fingerprint}' = cards.fingerprint
        WHERE p.account_id = :account_id AND p.customer_id <> :customer_id
    ), closest AS (
        SELECT DISTINCT ON (id) id, why FROM alike ORDER BY id, rank
    )
    SELECT s.customer_id, c.why, s.id, (s.data ->> 'trial_start')::bigint, (s.data ->> 'trial_end')::bigint
    FROM billing.billing_subscriptions s JOIN closest c ON c.id = s.customer_id
    WHERE s.account_id = :account_id AND s.data ->> 'trial_start' IS NOT NULL AND s.data ->> 'trial_end' IS NOT NULL
    ORDER BY 4 DESC, s.id
    """
)


def list_trials(session: Session, customer_id: str, account_id: str = "") -> list[Trial]:
    """Return the trials that a customer, or another one with the same user, mail address or card, has had.

    Test cards are everybody's, so in test mode cards tell nobody apart.
    """
    rows = session.execute(_TRIALS, {"account_id": account_id, "customer_id": customer_id})
    return [Trial(*row) for row in rows]
