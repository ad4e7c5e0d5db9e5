"""Hold units for one piece of work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.errors import ReservationConflictError, UnreservableMetricError
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.queries.reservations import Reservation, find_reservation, insert_reservation
from billing_worker.domains.quotas.services.lock_open_period import lock_open_period
from billing_worker.domains.quotas.services.settle_known_leases import LeaseNews, settle_known_leases
from billing_worker.domains.quotas.services.write_ledger import write_ledger
from billing_worker.domains.quotas.states import Enforcement, Reason, ReservationStatus
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.domains.usage.states import Formula

LASTS = timedelta(minutes=10)
LASTS_AT_MOST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Reserved:
    """The answer: a reservation, or none and why; `recall` leases may have what was too little here."""

    reason: Reason
    reservation: Reservation | None = None
    period: QuotaPeriod | None = None
    recall: tuple[UUID, ...] = ()


def reserve_units(
    session: Session,
    reservation_id: UUID,
    user_id: str,
    metric_type: str,
    units: int,
    *,
    lasts: timedelta = LASTS,
    news: LeaseNews,
    spender_id: UUID | None,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> Reserved:
    """Hold units for one piece of work until it is committed, released or the time is over.

    Idempotent by: the reservation's id, which the caller chose.
    Locks: the user's quota.
    Raises: ReservationConflictError for the id of another reservation, UnreservableMetricError.
    """
    if metrics.formula_of(metric_type) is not Formula.SUM:
        raise UnreservableMetricError(metric_type)
    one = lock_open_period(session, user_id, metric_type, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
    known = find_reservation(session, reservation_id)
    if known is not None:
        if (known.user_id, known.metric_type, known.units) != (user_id, metric_type, units):
            raise ReservationConflictError(reservation_id)
        return Reserved(Reason.GRANTED, known, one)
    if one is None:
        return Reserved(Reason.NO_QUOTA)
    settled = settle_known_leases(session, one, news, spender_id=spender_id, now=now)
    use = settled.period.use
    write_ledger(session, one, use, enforcing=enforcing, now=now)
    is_bounded = enforcing and one.terms.enforcement is Enforcement.HARD
    if is_bounded and units > use.available:
        return Reserved(Reason.USED_UP, None, settled.period, tuple(lease.id for lease in settled.leases))
    made = _hold(session, one, reservation_id, units, now=now, expires_at=now + lasts)
    held = replace(settled.period, use=use.with_ledger(use.ledger, held=use.held + units))
    return Reserved(Reason.GRANTED if is_bounded else Reason.NOT_ENFORCED, made, held)


def _hold(
    session: Session, one: QuotaPeriod, reservation_id: UUID, units: int, *, now: datetime, expires_at: datetime
) -> Reservation:
    insert_reservation(session, reservation_id, one.id, units, now=now, expires_at=expires_at)
    return Reservation(
        id=reservation_id,
        quota_period_id=one.id,
        quota_id=one.quota_id,
        user_id=one.terms.user_id,
        metric_type=one.terms.metric_type,
        units=units,
        spent=None,
        expires_at=expires_at,
        ended_at=None,
        status=ReservationStatus.OPEN,
    )
