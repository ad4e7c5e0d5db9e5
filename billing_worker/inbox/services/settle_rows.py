"""See rows of one lane through to their end, for a command that waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sqlalchemy import text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.services.drain_lane import drain_lane
from billing_worker.kernel.events import Reactions

LOOKS = 50
BATCH_SIZE = 500

_PENDING = text("SELECT count(*) FROM billing.billing_webhook_events WHERE id = ANY(:ids) AND status = 'pending'")


def settle_rows(
    unit_of_work: UnitOfWork,
    reactions: Reactions,
    row_ids: Sequence[int],
    *,
    lane: int,
    patience_seconds: float = 10.0,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Drain the rows' lane here and return how many of them are still pending when patience ends.

    Locks: the lane's; while a worker holds it, its work is waited for. Without any worker this one does.
    """
    left = len(row_ids)
    for look in range(LOOKS):
        if look:
            sleep(patience_seconds / LOOKS)
        drain_lane(unit_of_work, reactions, lane=lane, batch_size=BATCH_SIZE)
        with unit_of_work.transaction() as session:
            left = int(session.execute(_PENDING, {"ids": list(row_ids)}).scalar_one())
        if not left:
            break
    return left
