"""Mark every row whose event was stored before as a duplicate."""

from __future__ import annotations

from dataclasses import dataclass

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.duplicates import list_surplus, mark_surplus

BATCH = 500


@dataclass
class Deduplicated:
    """How many rows were marked, and how many of their effects had not happened yet and never will."""

    marked: int = 0
    effects_stopped: int = 0


def deduplicate_events(unit_of_work: UnitOfWork) -> Deduplicated:
    """Mark the surplus rows, batch by batch; the first row of each event stays, no row is deleted.

    Phases: one transaction per batch.
    Idempotent by: the rows' status.
    """
    report = Deduplicated()
    while True:
        with unit_of_work.transaction() as session:
            surplus = list_surplus(session, limit=BATCH)
            if not surplus:
                return report
            report.effects_stopped += mark_surplus(session, surplus, unit_of_work.now())
            report.marked += len(surplus)
