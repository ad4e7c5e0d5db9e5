"""Compute the access of marked customers anew."""

from __future__ import annotations

from itertools import groupby

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.subscriptions.queries import claim_marked_customers, list_subscriptions_of, lock_access
from billing_worker.domains.subscriptions.rules import compute_entitlement
from billing_worker.domains.subscriptions.states import Access

BATCH = 200


def recompute_access(unit_of_work: UnitOfWork) -> int:
    """Drain the marks and return how many customers were computed.

    Phases: one transaction per batch: marks taken, rows locked, subscriptions read, access written.
    Locks: access rows in key order, before subscriptions are read, so that of two runs the later sees the newer rows.
    Idempotent by: access is a function of the mirror; an operator's revocation is never overwritten.
    """
    computed = 0
    while True:
        with unit_of_work.transaction() as session:
            now = unit_of_work.now()
            marked = claim_marked_customers(session, size=BATCH)
            for account_id, group in groupby(marked, key=lambda pair: pair[0]):
                customer_ids = [customer_id for _, customer_id in group]
                rows = lock_access(session, account_id, customer_ids, now)
                states = list_subscriptions_of(session, account_id, customer_ids)
                for customer_id, row in rows.items():
                    entitlement = compute_entitlement(states[customer_id])
                    row.price_ids = list(entitlement.price_ids)
                    row.subscription_id = entitlement.subscription_id
                    row.computed_at = now
                    if row.access is not Access.REVOKED:
                        row.access = entitlement.access
        computed += len(marked)
        if len(marked) < BATCH:
            return computed
