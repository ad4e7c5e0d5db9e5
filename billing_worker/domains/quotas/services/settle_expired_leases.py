"""Take back what expired leases and reservations still hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.lease_store import Closed, Gone, LeaseStore
from billing_worker.domains.quotas.queries import leases as queries
from billing_worker.domains.quotas.queries import reservations
from billing_worker.domains.quotas.queries.leases import OpenLease
from billing_worker.domains.quotas.queries.periods import get_period, lock_quotas
from billing_worker.domains.quotas.services.settle_known_leases import LeaseNews, settle_known_leases
from billing_worker.domains.quotas.services.write_ledger import write_ledger
from billing_worker.domains.quotas.settlement import end_hold
from billing_worker.domains.quotas.states import LeaseEnd

LEASES_PER_ROUND = 200
LOST_AFTER = timedelta(minutes=2)
"""A spender that has not reported by then was killed; Redis was flushed too: all of the lease counts as spent."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SettlementReport:
    """How many leases were settled, how many of them as lost, and how many quotas had forgotten reservations."""

    settled: int
    lost: int
    quotas: int


def settle_expired_leases(unit_of_work: UnitOfWork, store: LeaseStore | None, *, enforcing: bool) -> SettlementReport:
    """Settle leases by what Redis says, else by what their spenders reported, else as lost; let reservations go.

    Phases: Redis is asked between transactions; one transaction per lease.
    Idempotent by: a lease ends once; Redis names the same rest each time.
    """
    now = unit_of_work.now()
    with unit_of_work.transaction() as session:
        expired = queries.list_expired_leases(session, before=now, limit=LEASES_PER_ROUND)
        forgotten = reservations.list_quotas_of_expired(session, now=now, limit=LEASES_PER_ROUND)
    settled = lost = 0
    for lease, user_id, quota_id in expired:
        answer = store.close(user_id, lease.id) if store is not None else Gone.UNREACHABLE
        with unit_of_work.transaction() as session:
            ended_by = _settle(session, lease, quota_id, answer, enforcing=enforcing, now=now)
        settled += ended_by is not None
        lost += ended_by is LeaseEnd.LOST
    for quota_id in forgotten:
        with unit_of_work.transaction() as session:
            lock_quotas(session, [quota_id])
            reservations.expire_reservations(session, [quota_id], now=now)
    return SettlementReport(settled, lost, len(forgotten))


def _settle(
    session: Session, lease: OpenLease, quota_id: int, answer: Closed | Gone, *, enforcing: bool, now: datetime
) -> LeaseEnd | None:
    lock_quotas(session, [quota_id])
    one = get_period(session, lease.quota_period_id)
    news = LeaseNews(left={lease.id: answer.left}) if isinstance(answer, Closed) else LeaseNews()
    known = settle_known_leases(session, one, news, spender_id=None, now=now)
    use, ended_by = known.period.use, LeaseEnd.RETURNED if news.left else LeaseEnd.REPORTED
    if any(open_one.id == lease.id for open_one in known.leases):
        if lease.expires_at + LOST_AFTER > now:
            return None
        ended_by = LeaseEnd.LOST
        queries.end_lease(session, lease.id, spent=lease.units, ended_by=ended_by, now=now)
        held = use.held - lease.units
        use = use.with_ledger(end_hold(use.ledger, lease.units, held=held), held=held)
        _log.warning(
            "quota_lease_lost",
            user_id=one.terms.user_id,
            metric_type=one.terms.metric_type,
            units=lease.units,
            granted_at=lease.granted_at.isoformat(),
        )
    write_ledger(session, one, use, enforcing=enforcing, now=now)
    return ended_by
