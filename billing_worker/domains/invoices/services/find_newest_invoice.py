"""Find the invoice that is meant when a user is named."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing_worker.domains.invoices.queries import list_customers_of, list_invoices
from billing_worker.kernel.errors import NotFoundError


def find_newest_invoice(session: Session, user_id: str) -> str:
    """Return the id of a user's newest mirrored invoice.

    Raises: NotFoundError.
    """
    customers = list_customers_of(session, user_id)
    if not customers:
        raise NotFoundError(
            f"user {user_id} has no customer: "
            f"`nself billing customer link --customer CUS --user {user_id}` makes one theirs"
        )
    found = list_invoices(session, customer_ids=customers, limit=1)
    if not found:
        raise NotFoundError(f"no invoice of user {user_id} ({', '.join(customers)}) is mirrored")
    return found[0].id
