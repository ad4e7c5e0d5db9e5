"""Events that are stored more than once.

One account cannot hold an event id twice: the table's unique key sees to that, and a redelivery is counted on the row.
What can happen is that the same event is stored under two accounts: it came to an endpoint of the platform without its
connected account's name, or was imported so. Stripe's event ids are unique over all accounts, so that is one event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.inbox.states import HAPPENED, EventStatus


@dataclass(frozen=True, slots=True)
class Surplus:
    """A row whose event was stored before, under another account; `first_row_id` is the one that stays."""

    row_id: int
    event_id: str
    type: str
    account_id: str
    status: EventStatus
    object_key: str
    first_row_id: int
    first_account_id: str


_SURPLUS = text(
    """
    SELECT row_id, event_id, type, account_id, status, object_key, first_row_id, first_account_id FROM (
        SELECT e.id AS row_id, e.event_id, e.type, e.account_id, e.status, e.object_key,
               first_value(e.id) OVER same AS first_row_id, first_value(e.account_id) OVER same AS first_account_id
        FROM billing.billing_webhook_events e
        WHERE e.source = ANY(:happened) AND e.object_id <> ''
          AND (SELECT min(account_id) <> max(account_id) FROM billing.billing_webhook_events)
        WINDOW same AS (PARTITION BY e.event_id, e.type, e.object_id, e.created ORDER BY e.id)
    ) told
    WHERE row_id <> first_row_id AND status <> 'duplicate'
    ORDER BY row_id LIMIT :limit
    """
)

_MARK = text(
    """
    UPDATE billing.billing_webhook_events e
    SET status = 'duplicate', reason = 'stored_before', next_attempt_at = NULL, finished_at = :now,
        detail = 'the same event is row ' || s.first_row_id
                 || CASE WHEN s.account = '' THEN '' ELSE ' of ' || s.account END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:firsts AS bigint[]), CAST(:accounts AS text[]))
         AS s (id, first_row_id, account)
    WHERE e.id = s.id
    """
)

_SKIP_EFFECTS = text(
    "UPDATE billing.billing_effects SET status = 'skipped', finished_at = :now, "
    "detail = 'its event is stored twice, the first one counts' "
    "WHERE object_key = ANY(:keys) AND event_row_id = ANY(:ids) AND status = 'pending' RETURNING id"
)


def list_surplus(session: Session, *, limit: int) -> list[Surplus]:
    """Return the rows that are the second of their event, oldest first; with one account there is nothing to read."""
    happened = sorted(source.value for source in HAPPENED)
    rows = session.execute(_SURPLUS, {"happened": happened, "limit": limit}).mappings()
    return [Surplus(**{**row, "status": EventStatus(row["status"])}) for row in rows]


def mark_surplus(session: Session, surplus: Sequence[Surplus], now: datetime) -> int:
    """Mark rows as duplicates, keep them, and return how many of their effects were stopped in time.

    Locks: the rows, and their waiting effects.
    """
    given = {
        "ids": [one.row_id for one in surplus],
        "firsts": [one.first_row_id for one in surplus],
        "accounts": [one.first_account_id for one in surplus],
        "now": now,
    }
    session.execute(_MARK, given)
    stopped = session.execute(
        _SKIP_EFFECTS, {"keys": [one.object_key for one in surplus], "ids": given["ids"], "now": now}
    )
    return len(stopped.all())
