"""Grant units of a quota in PostgreSQL, and lease more of them to Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries import leases as queries
from billing_worker.domains.quotas.queries.leases import LEASE_LASTS, OpenLease
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.services.lock_open_period import lock_open_period
from billing_worker.domains.quotas.services.settle_known_leases import LeaseNews, settle_known_leases
from billing_worker.domains.quotas.services.write_ledger import write_ledger
from billing_worker.domains.quotas.settlement import LEASE_MAX, compute_lease, grant
from billing_worker.domains.quotas.states import Enforcement, Reason
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.domains.usage.states import Formula


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that the caller may spend; `is_new` when Redis has to be told of it first."""

    id: UUID
    units: int
    expires_at: datetime
    is_new: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """PostgreSQL's answer: `period` is None without a quota; `recall` leases may have what was too little here."""

    reason: Reason
    period: QuotaPeriod | None = None
    lease: Lease | None = None
    recall: tuple[UUID, ...] = ()


def take_units(
    session: Session,
    user_id: str,
    metric_type: str,
    units: int,
    *,
    news: LeaseNews,
    spender_id: UUID | None,
    lease_id: UUID | None = None,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    enforcing: bool,
    now: datetime,
) -> Taken:
    """Decide one check and grant its units at once, or not at all.

    Shape: a `spender_id` asks for a lease to go on with; a new one is called `lease_id`, so that a caller who does not
    hear of its commit can still say that nothing was spent of it. A metric that is not summed is compared, never spent.
    Locks: the user's quota.
    """
    one = lock_open_period(session, user_id, metric_type, metrics=metrics, zone=zone, enforcing=enforcing, now=now)
    if one is None:
        return Taken(Reason.NO_QUOTA)
    is_bounded = enforcing and one.terms.enforcement is Enforcement.HARD
    settled = settle_known_leases(session, one, news, spender_id=spender_id, now=now)
    use = settled.period.use
    if is_bounded and units > use.available:
        write_ledger(session, one, use, enforcing=enforcing, now=now)
        recall = tuple(lease.id for lease in settled.leases)
        return Taken(Reason.USED_UP, settled.period, recall=recall)
    lease = None
    if metrics.formula_of(metric_type) is Formula.SUM:
        use = use.with_ledger(grant(use.ledger, units), held=use.held)
        if spender_id is not None:
            size = compute_lease(use.available) if is_bounded else LEASE_MAX
            lease = _join_or_open(session, one, settled.leases, size, spender_id, lease_id or uuid4(), now)
            if lease is not None and lease.is_new:
                use = use.with_ledger(use.ledger, held=use.held + lease.units)
    write_ledger(session, one, use, enforcing=enforcing, now=now)
    reason = Reason.GRANTED if is_bounded else Reason.NOT_ENFORCED
    return Taken(reason, replace(one, use=use), lease)


def _join_or_open(
    session: Session,
    one: QuotaPeriod,
    leases: Sequence[OpenLease],
    size: int,
    spender_id: UUID,
    lease_id: UUID,
    now: datetime,
) -> Lease | None:
    for known in reversed(leases):
        is_alive = known.missing_since is None and known.expires_at > now
        if is_alive and queries.add_spender(session, known.id, spender_id):
            return Lease(known.id, known.units, known.expires_at, is_new=False)
    if size == 0:
        return None
    lease = Lease(lease_id, size, min(now + LEASE_LASTS, one.period.end), is_new=True)
    queries.insert_lease(session, lease.id, one.id, size, now=now, expires_at=lease.expires_at)
    queries.add_spender(session, lease.id, spender_id)
    return lease
