"""Drain one lane, for a command that needs no worker for what it has just stored."""

from __future__ import annotations

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.drain_lanes import DrainReport, Mark, drain_lanes
from billing_worker.kernel.events import Reactions


def drain_lane(unit_of_work: UnitOfWork, reactions: Reactions, *, lane: int, batch_size: int) -> DrainReport:
    """Apply the due events of a lane; wake-up marks are left to the workers, who clear them when their message comes.

    Phases and locks: those of `drain_lanes`.
    """
    return drain_lanes(unit_of_work, reactions, lanes=(lane,), batch_size=batch_size, mark=Mark())
