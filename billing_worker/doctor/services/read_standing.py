"""Read how the work stands, in one transaction."""

from __future__ import annotations

from datetime import timedelta

from billing_worker.database.clock import read_offset
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.doctor.queries import (
    count_waiting_payments,
    find_last_reconciliation,
    read_effects,
    read_schedules,
)
from billing_worker.doctor.rules import Standing
from billing_worker.inbox.reports import count_backlog
from billing_worker.switches.board import SwitchBoard

FAILED_WITHIN = timedelta(days=1)


def read_standing(unit_of_work: UnitOfWork, switches: SwitchBoard) -> Standing:
    """Read counts that cost the same in any history: partial indexes, limits."""
    now = unit_of_work.now()
    with unit_of_work.transaction() as session:
        return Standing(
            at=now,
            clock_offset_seconds=int(read_offset(session).total_seconds()),
            switches=switches.read(session),
            inbox=count_backlog(session),
            effects=read_effects(session, now),
            schedules=read_schedules(session, now, failed_since=now - FAILED_WITHIN),
            payments_waiting=count_waiting_payments(session),
            last_reconciliation=find_last_reconciliation(session),
        )
