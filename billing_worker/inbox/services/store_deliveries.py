"""Store a group of deliveries, events and bodies, in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from psycopg2 import Binary
from psycopg2.extensions import cursor as psycopg2_cursor

from billing_worker.inbox.intake import Delivery
from billing_worker.inbox.states import EventStatus

_STATEMENT = """
WITH moment AS MATERIALIZED (
    SELECT coalesce(%(now)s::timestamptz, clock_timestamp() + make_interval(secs =>
        coalesce((SELECT offset_seconds FROM billing.billing_clock WHERE id = 1), 0))) AS now
), incoming AS MATERIALIZED (
    SELECT * FROM unnest(
        %(account_id)s::text[], %(event_id)s::text[], %(type)s::text[], %(api_version)s::text[], %(source)s::text[],
        %(object_type)s::text[], %(object_id)s::text[], %(object_key)s::text[], %(customer_id)s::text[],
        %(lane)s::smallint[], %(created)s::timestamptz[], %(observed_at)s::timestamptz[], %(status)s::text[],
        %(reason)s::text[], %(detail)s::text[], %(deliveries)s::integer[], %(body)s::bytea[]
    ) AS one (account_id, event_id, type, api_version, source, object_type, object_id, object_key, customer_id,
              lane, created, observed_at, status, reason, detail, deliveries, body)
), stored AS (
    INSERT INTO billing.billing_webhook_events AS event (
        account_id, event_id, type, api_version, source, object_type, object_id, object_key, customer_id, lane,
        created, observed_at, received_at, last_delivery_at, deliveries, status, reason, detail, finished_at,
        body_sha256)
    SELECT account_id, event_id, type, api_version, source, object_type, object_id, object_key, customer_id, lane,
        coalesce(created, now), observed_at, now, now, deliveries, status, reason, detail,
        CASE WHEN status = 'quarantined' THEN now END, sha256(body)
    FROM incoming CROSS JOIN moment
    ORDER BY account_id COLLATE "C", event_id COLLATE "C"
    ON CONFLICT (account_id, event_id) DO UPDATE SET
        deliveries = event.deliveries + excluded.deliveries,
        last_delivery_at = excluded.last_delivery_at,
        status = CASE WHEN event.status = 'failed' THEN 'pending' ELSE event.status END,
        attempts = CASE WHEN event.status = 'failed' THEN 0 ELSE event.attempts END,
        next_attempt_at = CASE WHEN event.status = 'failed' THEN NULL ELSE event.next_attempt_at END,
        reason = CASE WHEN event.status = 'failed' THEN '' ELSE event.reason END,
        detail = CASE WHEN event.status = 'failed' THEN '' ELSE event.detail END,
        finished_at = CASE WHEN event.status = 'failed' THEN NULL ELSE event.finished_at END
    RETURNING id, account_id, event_id, type, received_at, lane, status, xmax = 0 AS is_new
), bodies AS (
    INSERT INTO billing.billing_webhook_payloads (event_row_id, received_at, body)
    SELECT stored.id, stored.received_at, incoming.body
    FROM stored JOIN incoming USING (account_id, event_id) WHERE stored.is_new
)
SELECT id, account_id, event_id, type, lane, status, is_new FROM stored
"""

_COLUMNS = (
    "account_id",
    "event_id",
    "type",
    "api_version",
    "object_type",
    "object_id",
    "object_key",
    "customer_id",
    "lane",
    "created",
    "observed_at",
    "reason",
    "detail",
)


class EventKey(NamedTuple):
    """What makes an event one event."""

    account_id: str
    event_id: str


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """The row a delivery became, or found.

    Shape: `is_new` is false for a redelivery; `status` is the row's after this delivery.
    """

    row_id: int
    key: EventKey
    type: str
    lane: int
    status: EventStatus
    is_new: bool


def store_deliveries(
    cursor: psycopg2_cursor, deliveries: Sequence[Delivery], *, now: datetime | None = None
) -> dict[EventKey, StoredDelivery]:
    """Insert what is new, count what is known, re-arm what had failed; joins the cursor's transaction.

    Units: `now` is the billing time; None reads the database's clock in the same round trip.
    Shape: deliveries of one event are folded; the body kept is that of the first.
    Idempotent by: (account_id, event_id); the whole group is one statement, so all of it is stored or nothing.
    Locks: the rows of known events, in key order.
    Raises: psycopg2.Error, and ValueError for text that PostgreSQL cannot hold.
    """
    if not deliveries:
        return {}
    first: dict[EventKey, Delivery] = {}
    counts: dict[EventKey, int] = {}
    for delivery in deliveries:
        key = EventKey(delivery.account_id, delivery.event_id)
        first.setdefault(key, delivery)
        counts[key] = counts.get(key, 0) + 1
    rows = list(first.values())
    cursor.execute(
        _STATEMENT,
        {
            "now": now,
            **{column: [getattr(row, column) for row in rows] for column in _COLUMNS},
            "source": [row.source.value for row in rows],
            "status": [row.status.value for row in rows],
            "deliveries": [counts[key] for key in first],
            "body": [Binary(row.body) for row in rows],
        },
    )
    stored = (
        StoredDelivery(row_id, EventKey(account_id, event_id), event_type, lane, EventStatus(status), is_new)
        for row_id, account_id, event_id, event_type, lane, status, is_new in cursor.fetchall()
    )
    return {row.key: row for row in stored}
