"""Decide whether a customer may have a trial."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing_worker.domains.customers.queries.trials import list_trials
from billing_worker.domains.customers.rules import Eligibility, check_trial
from billing_worker.mirror.objects import get_object


def check_trial_eligibility(session: Session, customer_id: str) -> Eligibility:
    """Decide by the trials that the same user, mail address or card has had.

    Raises: NotMirroredError.
    """
    customer = get_object(session, "customer", customer_id)
    return check_trial(list_trials(session, customer_id), is_deleted=customer.deleted_at is not None)
