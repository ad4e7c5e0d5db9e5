"""Bring a period's ledger up to what is known of its leases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries import leases as queries
from billing_worker.domains.quotas.queries.leases import OpenLease
from billing_worker.domains.quotas.queries.periods import QuotaPeriod
from billing_worker.domains.quotas.settlement import end_hold
from billing_worker.domains.quotas.states import LeaseEnd


@dataclass(frozen=True, slots=True)
class LeaseNews:
    """What a caller has learned of leases.

    Shape: `left` by leases that Redis has closed; `missing` leases that Redis does not have; `spent` by leases that
    this spender is done with.
    """

    left: Mapping[UUID, int] = field(default_factory=lambda: MappingProxyType({}))
    missing: frozenset[UUID] = frozenset()
    spent: Mapping[UUID, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class SettledPeriod:
    """A period, its ledger not yet written, and the leases that still hold units."""

    period: QuotaPeriod
    leases: tuple[OpenLease, ...]


def settle_known_leases(
    session: Session, one: QuotaPeriod, news: LeaseNews, *, spender_id: UUID | None, now: datetime
) -> SettledPeriod:
    """End the leases of which it is known what was spent; the caller writes the ledger.

    Order: the caller has locked the quota. Redis's own word counts before the reports of spenders: it also has what was
    granted to callers who never heard of it.
    """
    if spender_id is not None:
        queries.report_spent(session, spender_id, news.spent, now=now)
    if news.missing:
        queries.mark_missing(session, sorted(news.missing), now=now)
    ledger, held, still_open = one.use.ledger, one.use.held, []
    for lease in queries.list_open_leases(session, one.id):
        if lease.id in news.left:
            spent, ended_by = lease.units - min(news.left[lease.id], lease.units), LeaseEnd.RETURNED
        elif lease.is_known(now):
            spent, ended_by = min(lease.reported, lease.units), LeaseEnd.REPORTED
        else:
            still_open.append(lease)
            continue
        queries.end_lease(session, lease.id, spent=spent, ended_by=ended_by, now=now)
        held -= lease.units
        ledger = end_hold(ledger, spent, held=held)
    return SettledPeriod(replace(one, use=one.use.with_ledger(ledger, held=held)), tuple(still_open))
