"""Delete old runs."""

from __future__ import annotations

from datetime import timedelta

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.worker.ledger import queries

KEEP = timedelta(days=90)
"""A quarter: long enough to answer when a quota was last reset, short enough to keep `jobs list` fast."""

BATCH = 5000


def prune_runs(unit_of_work: UnitOfWork, *, keep: timedelta = KEEP) -> int:
    """Delete runs that ended longer ago than `keep`; return how many.

    Phases: batches, each its own transaction. The next slot is stored apart, so no deleted slot comes back.
    """
    before = unit_of_work.now() - keep
    deleted = 0
    while True:
        with unit_of_work.transaction() as session:
            count = queries.delete_ended_runs(session, before=before, limit=BATCH)
        deleted += count
        if count < BATCH:
            return deleted
