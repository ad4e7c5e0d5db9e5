"""Delete leases and reservations whose units were counted long ago."""

from __future__ import annotations

from datetime import timedelta

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.queries.leases import delete_old_leases
from billing_worker.domains.quotas.queries.reservations import delete_old_reservations

KEPT = timedelta(days=7)
"""So long a reservation may be committed or released again under its id, and a lost lease be looked at."""

ROWS_PER_ROUND = 5_000


def prune_grants(unit_of_work: UnitOfWork) -> int:
    """Delete one batch of what ended a week ago; their units are in their periods."""
    before = unit_of_work.now() - KEPT
    with unit_of_work.transaction() as session:
        leases = delete_old_leases(session, before=before, limit=ROWS_PER_ROUND)
        return leases + delete_old_reservations(session, before=before, limit=ROWS_PER_ROUND)
