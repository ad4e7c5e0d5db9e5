"""Signs of fraud in the mirror, one statement per rule."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.customers.rules import MANY_DECLINES, SHARED_BY, STOLEN

_STATEMENTS: Mapping[str, str] = {
    "early_fraud_warning": """
        SELECT c.customer_id, w.id FROM billing.billing_early_fraud_warnings w
        JOIN billing.billing_charges c ON c.account_id = w.account_id AND c.id = w.charge_id
        WHERE c.customer_id IS NOT NULL
    """,
    "fraudulent_dispute": """
        SELECT c.customer_id, d.id FROM billing.billing_disputes d
        JOIN billing.billing_charges c ON c.account_id = d.account_id AND c.id = d.charge_id
        WHERE c.customer_id IS NOT NULL AND d.dispute_reason = 'fraudulent'
    """,
    "dispute": """
        SELECT c.customer_id, d.id FROM billing.billing_disputes d
        JOIN billing.billing_charges c ON c.account_id = d.account_id AND c.id = d.charge_id
        WHERE c.customer_id IS NOT NULL AND d.dispute_reason IS DISTINCT FROM 'fraudulent'
    """,
    "card_testing": """
        SELECT customer_id, max(id) FROM billing.billing_charges
        WHERE customer_id IS NOT NULL AND status = 'failed' AND charged_at IS NOT NULL
        GROUP BY customer_id, date_trunc('day', charged_at)
        HAVING count(DISTINCT coalesce(data #>> '{payment_method_details,card,fingerprint}',
                                       data ->> 'payment_method')) >= :many_declines
    """,
    "stolen_card": """
        SELECT customer_id, id FROM billing.billing_charges
        WHERE customer_id IS NOT NULL AND status = 'failed'
          AND (data #>> '{outcome,reason}' = ANY(:stolen) OR data ->> 'failure_code' = ANY(:stolen)
               OR data #>> '{outcome,network_decline_code}' = ANY(:stolen))
    """,
    "shared_card": """
        WITH shared AS (
            SELECT account_id, data #>> '{card,fingerprint}' AS fingerprint FROM billing.billing_payment_methods
            WHERE customer_id IS NOT NULL AND data #>> '{card,fingerprint}' IS NOT NULL
              AND data ->> 'livemode' = 'true'  -- test cards are everybody's
            GROUP BY 1, 2 HAVING count(DISTINCT customer_id) >= :shared_by
        )
        SELECT p.customer_id, min(p.id) FROM billing.billing_payment_methods p
        JOIN shared s ON s.account_id = p.account_id AND s.fingerprint = p.data #>> '{card,fingerprint}'
        WHERE p.customer_id IS NOT NULL GROUP BY p.customer_id
    """,
    "elevated_risk": """
        SELECT customer_id, id FROM billing.billing_charges
        WHERE customer_id IS NOT NULL AND data #>> '{outcome,risk_level}' IN ('elevated', 'highest')
    """,
    "country_mismatch": """
        SELECT c.id, min(p.id) FROM billing.billing_customers c
        JOIN billing.billing_payment_methods p ON p.account_id = c.account_id AND p.customer_id = c.id
        WHERE c.deleted_at IS NULL AND c.data #>> '{address,country}' <> p.data #>> '{card,country}'
        GROUP BY c.id
    """,
}


def list_fraud_signs(session: Session) -> list[tuple[str, str, str]]:
    """Return (customer, rule, evidence) for every sign in the mirror."""
    bounds = {"many_declines": MANY_DECLINES, "shared_by": SHARED_BY, "stolen": list(STOLEN)}
    found: list[tuple[str, str, str]] = []
    for rule, statement in _STATEMENTS.items():
        used = {name: value for name, value in bounds.items() if f":{name}" in statement}
        found.extend((customer_id, rule, evidence) for customer_id, evidence in session.execute(text(statement), used))
    return found
