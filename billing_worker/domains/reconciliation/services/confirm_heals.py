"""Mark the differences whose snapshot has reached the mirror."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

_CONFIRM = text(
    """
    WITH healed AS (
        UPDATE billing.billing_reconciliation_differences d
        SET healed_at = coalesce(e.finished_at, :now)
        FROM billing.billing_webhook_events e
        WHERE e.id = d.event_row_id AND e.status = 'applied' AND NOT e.superseded
          AND d.healed_at IS NULL
        RETURNING d.run_id
    )
    UPDATE billing.billing_reconciliation_runs r
    SET healed = r.healed + h.count
    FROM (SELECT run_id, count(*) AS count FROM healed GROUP BY run_id) h
    WHERE r.id = h.run_id
    RETURNING h.count
    """
)


def confirm_heals(session: Session, *, now: datetime) -> int:
    """Note which differences are healed, for all runs, and count the new ones.

    A snapshot that a newer event overtook heals nothing: the next run tells whether that event did.
    Locks: the rows it changes.
    """
    return int(sum(session.scalars(_CONFIRM, {"now": now})))
