"""Link customers with the users that their metadata name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.customers.errors import CustomersError
from billing_worker.domains.customers.queries.links import claim_marked_customers
from billing_worker.domains.customers.services.link_customer import link_customer

BATCH = 200
BY_METADATA = "metadata.user_id"

_log = structlog.get_logger(__name__)


def link_marked_customers(unit_of_work: UnitOfWork) -> Mapping[str, int]:
    """Drain the marks and count what became of them; a link that an operator made is never changed.

    Phases: one transaction per batch. Idempotent by: the link's unique customer and unique user.
    """
    counts: Counter[str] = Counter()
    while True:
        with unit_of_work.transaction() as session:
            now = unit_of_work.now()
            marked = claim_marked_customers(session, size=BATCH)
            for account_id, customer_id, user_id in marked:
                if user_id is None:
                    counts["nobody"] += 1
                    continue
                try:
                    is_new = link_customer(
                        session,
                        customer_id=customer_id,
                        user_id=user_id,
                        linked_by=BY_METADATA,
                        now=now,
                        account_id=account_id,
                    )
                except CustomersError as error:
                    _log.info("customer_unlinked", customer_id=customer_id, user_id=user_id, reason=str(error))
                    counts["taken"] += 1
                else:
                    counts["linked" if is_new else "known"] += 1
        if not marked:
            return counts
