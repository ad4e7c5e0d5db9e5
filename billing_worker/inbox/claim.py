"""Claiming: which events of a lane are taken next, and the record of the batch under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.arrays import array_literal


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """One pending event with its body, as the drain works on it."""

    row_id: int
    account_id: str
    event_id: str
    type: str
    source: str
    object_type: str
    object_id: str
    object_key: str
    customer_id: str | None
    created: datetime
    received_at: datetime
    attempts: int
    body: str


@dataclass(frozen=True, slots=True)
class LaneState:
    """What the last consumer of a lane left behind; `unfinished` is set only if it died.

    Shape: no queue position up to `taken_through` is left, and none can appear. `next_through` is the same promise once
    every transaction that ran when it was noted has ended: `is_settled` says that they have, `is_free` that a new one
    can be noted; `has_held` that events wait outside of the queue.
    """

    batch_size: int
    unfinished: tuple[int, ...]
    crashes: int
    taken_through: int
    next_through: int
    is_settled: bool
    is_free: bool
    has_held: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What was taken out of a lane's queue.

    Shape: `held_keys` are parked objects whose events were taken out as well, to come back later; `positions` counts
    the queue's rows, `last_position` is the highest of them, or 0.
    """

    events: list[ClaimedEvent]
    held_keys: frozenset[str]
    positions: int
    last_position: int


_READ_LANE = text(
    """
    SELECT batch_size, batch_row_ids, crashes, taken_through, coalesce(next_through, 0),
           coalesce(next_xid < pg_snapshot_xmin(seen.snapshot), false),
           -- a number still to come was written by another cluster, before a restore: it means nothing here
           coalesce(next_xid < pg_snapshot_xmin(seen.snapshot) OR next_xid >= pg_snapshot_xmax(seen.snapshot), true),
           EXISTS (SELECT 1 FROM billing.billing_held_objects held WHERE held.lane = :lane)
    FROM billing.billing_lanes, (SELECT pg_current_snapshot() AS snapshot) seen WHERE lane = :lane
    """
)

_CLAIM = text(
    """
    WITH taken AS MATERIALIZED (
        SELECT ctid AS place, position, event_row_id FROM billing.billing_webhook_queue
        WHERE lane = :lane AND position > :after
        ORDER BY position
        LIMIT :size
    ), gone AS (
        DELETE FROM billing.billing_webhook_queue WHERE ctid = ANY(ARRAY(SELECT place FROM taken))
    )
    SELECT taken.position, parked.object_key IS NOT NULL, e.id, e.account_id, e.event_id, e.type, e.source,
           e.object_type, e.object_id, e.object_key, e.customer_id, e.created, e.received_at, e.attempts,
           CASE WHEN e.object_type = '' THEN '' ELSE coalesce(convert_from(p.body, 'UTF8'), '') END
    FROM taken
    LEFT JOIN billing.billing_webhook_events e ON e.id = taken.event_row_id AND e.status = 'pending'
    LEFT JOIN billing.billing_parked_objects parked
        ON parked.object_key = e.object_key AND (parked.parked_until > :now OR parked.waits_for = 'fetch')
    LEFT JOIN billing.billing_webhook_payloads p
        ON p.event_row_id = e.id AND p.received_at = e.received_at AND parked.object_key IS NULL
    ORDER BY e.id
    """
)

_NOTE = text(
    """
    SET LOCAL synchronous_commit = off;
    UPDATE billing.billing_lanes
    SET batch_row_ids = CAST(:ids AS bigint[]), batch_started_at = :now, crashes = :crashes,
        next_through = CASE WHEN :renew THEN :through ELSE next_through END,
        next_xid = CASE WHEN :renew THEN pg_current_xact_id() ELSE next_xid END
    WHERE lane = :lane
    """
)

_CLOSE = text(
    """
    UPDATE billing.billing_lanes
    SET batch_row_ids = NULL, batch_started_at = NULL, crashes = 0, batch_size = :size,
        taken_through = greatest(taken_through, :through)
    WHERE lane = :lane
    """
)


def read_lane(session: Session, lane: int) -> LaneState:
    """Read what is recorded of a lane; call it with the lane's lock held, in a statement before the claim's."""
    size, unfinished, *others = session.execute(_READ_LANE, {"lane": lane}).one()
    return LaneState(size, tuple(unfinished or ()), *others)


def claim_events(session: Session, lane: int, *, after: int, size: int, now: datetime) -> Claim:
    """Take the oldest rows of a lane's queue: the claim is their deletion, which a rollback undoes.

    Order: rows by position, that is by arrival; events by row id, each once. Rows of events that ended otherwise are
    dropped. Locks: none of its own; the lane's lock makes the claim exclusive.
    """
    events: dict[int, ClaimedEvent] = {}
    held: set[str] = set()
    rows = session.execute(_CLAIM, {"lane": lane, "after": after, "size": size, "now": now}).all()
    for _, is_parked, row_id, *columns in rows:
        if row_id is None:
            continue
        event = ClaimedEvent(row_id, *columns)
        if is_parked:
            held.add(event.object_key)
        else:
            events[row_id] = event
    last = max((row[0] for row in rows), default=0)
    return Claim(list(events.values()), frozenset(held), len(rows), last)


def settled_through(state: LaneState, claim: Claim, *, size: int) -> int:
    """Say up to which position nothing can be left or appear, once the claim is committed (ADR 0010)."""
    if not state.is_settled:
        return 0
    return state.next_through if claim.positions < size else min(state.next_through, claim.last_position)


def record_batch(
    engine: Engine, lane: int, row_ids: Sequence[int], now: datetime, *, crashes: int, next_through: int | None
) -> None:
    """Note the batch on a connection of its own before it is applied, so that a crash in it leaves a trace.

    The commit does not wait for the disk: the note must outlive this process, not the machine. `next_through` is noted
    with this transaction's number, which is younger than that of everybody who had taken a position up to it.
    """
    with engine.begin() as connection:
        connection.execute(
            _NOTE,
            {
                "ids": array_literal(row_ids),
                "now": now,
                "lane": lane,
                "crashes": crashes,
                "renew": next_through is not None,
                "through": next_through or 0,
            },
        )


def close_batch(session: Session, lane: int, *, next_size: int, taken_through: int = 0) -> None:
    """Clear the note in the transaction that applied the batch (or gave it up)."""
    session.execute(_CLOSE, {"size": next_size, "lane": lane, "through": taken_through})
