"""End a reservation: its work was done, or will not be."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.errors import (
    InvalidQuotaError,
    ReservationEndedError,
    ReservationNotFoundError,
)
from billing_worker.domains.quotas.queries import reservations as queries
from billing_worker.domains.quotas.queries.periods import get_period, lock_quotas
from billing_worker.domains.quotas.queries.reservations import Reservation
from billing_worker.domains.quotas.services.write_ledger import write_ledger
from billing_worker.domains.quotas.settlement import end_hold
from billing_worker.domains.quotas.states import ReservationStatus


def end_reservation(
    session: Session, reservation_id: UUID, *, is_done: bool, units: int | None = None, enforcing: bool, now: datetime
) -> Reservation:
    """Commit what was spent of a reservation, all of it unless `units` says less, or release it; the rest is free.

    Idempotent by: the id; the same end a second time changes nothing.
    Locks: the quota of the reservation.
    Raises: ReservationNotFoundError; ReservationEndedError when it ended otherwise; InvalidQuotaError for more than
    was reserved.
    """
    found = queries.find_reservation(session, reservation_id)
    if found is None:
        raise ReservationNotFoundError(reservation_id)
    lock_quotas(session, [found.quota_id])
    queries.expire_reservations(session, [found.quota_id], now=now)
    found = queries.find_reservation(session, reservation_id) or found
    wanted = ReservationStatus.COMMITTED if is_done else ReservationStatus.RELEASED
    spent = (found.units if units is None else units) if is_done else None
    if spent is not None and not 0 <= spent <= found.units:
        problem = f"{spent} is not between 0 and the {found.units} reserved; record what went beyond as usage"
        raise InvalidQuotaError("units", problem)
    if found.status is not ReservationStatus.OPEN:
        is_same = found.status is wanted and found.spent == spent
        if is_same or (not is_done and found.status is ReservationStatus.EXPIRED):
            return found
        raise ReservationEndedError(found.id, found.status, found.ended_at)
    one = get_period(session, found.quota_period_id)
    queries.end_reservation(session, reservation_id, wanted, spent=spent, now=now)
    held = one.use.held - found.units
    use = one.use.with_ledger(end_hold(one.use.ledger, spent or 0, held=held), held=held)
    write_ledger(session, one, use, enforcing=enforcing, now=now)
    return queries.find_reservation(session, reservation_id) or found
