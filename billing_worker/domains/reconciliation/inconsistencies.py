"""Rows of the mirror that do not fit together, and rows that hang in the air: asked of our own database only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

_CHECKS: Mapping[str, tuple[str, str, str]] = {
    "access_differs": (
        """
        SELECT s.id, s.customer_id FROM billing.billing_subscriptions s
        LEFT JOIN billing.billing_customer_access a USING (account_id, customer_id)
        WHERE s.status IN ('active', 'trialing') AND s.deleted_at IS NULL
          AND coalesce(a.access, 'none') = 'none' AND a.overridden_by IS NULL
        """,
        "the subscription gives access and its customer has none",
        "nself billing webhook replay --object {object}",
    ),
    "paid_with_rest": (
        """
        SELECT id, customer_id FROM billing.billing_invoices
        WHERE status = 'paid' AND amount_remaining_minor > 0 AND deleted_at IS NULL
        """,
        "the invoice is paid and something of it is still due",
        "nself billing invoice update {object}",
    ),
    "charge_not_in_ledger": (
        """
        SELECT c.id, c.customer_id FROM billing.billing_charges c
        WHERE c.status = 'succeeded' AND c.paid AND c.deleted_at IS NULL
          AND EXISTS (SELECT 1 FROM billing.billing_webhook_events e
                      WHERE e.object_key = c.account_id || '/charge/' || c.id AND e.type = 'charge.succeeded'
                        AND e.status = 'applied')
          AND NOT EXISTS (SELECT 1 FROM billing.billing_transactions t
                          WHERE t.account_id = c.account_id AND t.charge_id = c.id AND t.kind = 'charge')
        """,
        "the charge succeeded and the ledger does not have it",
        "nself billing webhook replay --object {object}",
    ),
    "order_unproven": (
        "SELECT id, customer_id FROM billing.billing_subscriptions WHERE order_unproven AND deleted_at IS NULL",
        "the order of its last events is not proved: the object was gone when Stripe was asked",
        "nself billing subscription import {object}",
    ),
}
"""Check → statement giving (object, related), what it means, and the command that mends it."""

_ORPHANS: Mapping[str, tuple[str, str, str]] = {
    "subscription_without_customer": (
        """
        SELECT s.id, s.customer_id FROM billing.billing_subscriptions s
        WHERE s.deleted_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM billing.billing_customers c WHERE c.account_id = s.account_id AND c.id = s.customer_id)
        """,
        "its customer is not in the mirror",
        "nself billing customer import {related}",
    ),
    "invoice_without_customer": (
        """
        SELECT i.id, i.customer_id FROM billing.billing_invoices i
        WHERE i.deleted_at IS NULL AND i.customer_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM billing.billing_customers c WHERE c.account_id = i.account_id AND c.id = i.customer_id)
        """,
        "its customer is not in the mirror",
        "nself billing customer import {related}",
    ),
    "invoice_without_subscription": (
        """
        SELECT i.id, i.subscription_id FROM billing.billing_invoices i
        WHERE i.deleted_at IS NULL AND i.subscription_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM billing.billing_subscriptions s
            WHERE s.account_id = i.account_id AND s.id = i.subscription_id)
        """,
        "its subscription is not in the mirror",
        "nself billing subscription import {related}",
    ),
    "customer_without_user": (
        """
        SELECT c.id, s.id FROM billing.billing_customers c
        JOIN billing.billing_subscriptions s ON s.account_id = c.account_id AND s.customer_id = c.id
        WHERE c.user_id IS NULL AND c.deleted_at IS NULL AND s.status IN ('active', 'trialing', 'past_due')
        """,
        "it pays and no user is linked: usage and quotas do not find it",
        "nself billing customer link --customer {object} --user USER",
    ),
}


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """One object that does not fit, and the command that mends it."""

    check: str
    object: str
    related: str | None
    explanation: str
    mend: str


def list_inconsistencies(session: Session, *, limit: int = 100) -> list[Inconsistency]:
    """Return objects of the mirror that contradict each other, at most `limit` of each kind."""
    return _run(session, _CHECKS, limit)


def list_orphans(session: Session, *, limit: int = 100) -> list[Inconsistency]:
    """Return objects whose parent is not here, at most `limit` of each kind."""
    return _run(session, _ORPHANS, limit)


def _run(session: Session, checks: Mapping[str, tuple[str, str, str]], limit: int) -> list[Inconsistency]:
    found = []
    for check, (statement, explanation, mend) in checks.items():
        rows = session.execute(text(f"{statement} ORDER BY 1 LIMIT :limit"), {"limit": limit})
        found += [
            Inconsistency(check, name, related, explanation, mend.format(object=name, related=related))
            for name, related in rows
        ]
    return found
