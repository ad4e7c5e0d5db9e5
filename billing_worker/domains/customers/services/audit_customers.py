"""Look over all customers for signs of fraud."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing_worker.domains.customers.queries.fraud import list_fraud_signs
from billing_worker.domains.customers.rules import Suspect, rank_suspects


def audit_customers(session: Session) -> list[Suspect]:
    """Find the customers whose charges, disputes or cards look wrong, the most suspicious first."""
    return rank_suspects(list_fraud_signs(session))
