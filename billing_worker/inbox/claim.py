"""Claiming: which events of the locked lanes are taken next, and the record of the batch under way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing_worker.database.arrays import array_literal


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """One pending event with its body, as the drain works on it."""

    lane: int
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

    lane: int
    batch_size: int
    unfinished: tuple[int, ...]
    crashes: int
    taken_through: int
    next_through: int
    is_settled: bool
    is_free: bool
    has_held: bool

    @property
    def is_suspect(self) -> bool:
        """Say that its last batch did not go through: until one did, the lane gets batches of its own."""
        return bool(self.unfinished) or self.batch_size != 0


@dataclass(slots=True)
class TakenOfLane:
    """What was taken out of one lane's queue.

    Shape: `held_keys` are parked objects whose events were taken out as well, to come back later; `positions` counts
    the queue's rows, `last_position` is the highest of them, or 0; `is_full` that more of them may be left.
    """

    row_ids: list[int] = field(default_factory=list)
    held_keys: set[str] = field(default_factory=set)
    positions: int = 0
    last_position: int = 0
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What was taken out of the queues of one or several lanes; every lane asked for is in `of_lane`."""

    events: list[ClaimedEvent]
    of_lane: Mapping[int, TakenOfLane]

    @property
    def is_full(self) -> bool:
        """Say whether more is likely to wait."""
        return any(taken.is_full for taken in self.of_lane.values())


@dataclass(frozen=True, slots=True)
class BatchNote:
    """What is noted of a lane before its batch is applied; `next_through` only where a new one can be noted."""

    row_ids: Sequence[int]
    crashes: int
    next_through: int | None


@dataclass(frozen=True, slots=True)
class Closing:
    """What is left of a lane's batch when it ended; a size of 0 is the usual one."""

    next_size: int = 0
    taken_through: int = 0


_READ_LANES = text(
    """
    SELECT lane, batch_size, batch_row_ids, crashes, taken_through, coalesce(next_through, 0),
           coalesce(next_xid < pg_snapshot_xmin(seen.snapshot), false),
           -- a number still to come was written by another cluster, before a restore: it means nothing here
           coalesce(next_xid < pg_snapshot_xmin(seen.snapshot) OR next_xid >= pg_snapshot_xmax(seen.snapshot), true),
           EXISTS (SELECT 1 FROM billing.billing_held_objects held WHERE held.lane = lanes.lane)
    FROM billing.billing_lanes lanes, (SELECT pg_current_snapshot() AS snapshot) seen
    WHERE lane = ANY(CAST(:lanes AS smallint[]))
    ORDER BY batch_started_at NULLS FIRST, lane
    """
)

_CLAIM = text(
    """
    WITH taken AS MATERIALIZED (
        SELECT lanes.lane, queued.place, queued.position, queued.event_row_id
        FROM unnest(CAST(:lanes AS smallint[]), CAST(:after AS bigint[])) WITH ORDINALITY AS lanes (lane, after, turn)
        CROSS JOIN LATERAL (
            SELECT ctid AS place, position, event_row_id FROM billing.billing_webhook_queue
            WHERE lane = lanes.lane AND position > lanes.after
            ORDER BY position
            LIMIT :share
        ) AS queued
        ORDER BY lanes.turn, queued.position
        LIMIT :size
    ), gone AS (
        DELETE FROM billing.billing_webhook_queue WHERE ctid = ANY(ARRAY(SELECT place FROM taken))
    )
    SELECT taken.lane, taken.position, parked.object_key IS NOT NULL, e.id, e.account_id, e.event_id, e.type, e.source,
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
    UPDATE billing.billing_lanes lanes
    SET batch_row_ids = CAST(noted.ids AS bigint[]), batch_started_at = :now, crashes = noted.crashes,
        next_through = coalesce(noted.through, next_through),
        next_xid = CASE WHEN noted.through IS NULL THEN next_xid ELSE pg_current_xact_id() END
    FROM unnest(CAST(:lanes AS smallint[]), CAST(:ids AS text[]), CAST(:crashes AS smallint[]),
                CAST(:through AS bigint[])) AS noted (lane, ids, crashes, through)
    WHERE lanes.lane = noted.lane
    """
)

_CLOSE = text(
    """
    UPDATE billing.billing_lanes lanes
    SET batch_row_ids = NULL, crashes = 0, batch_size = closed.size,
        taken_through = greatest(taken_through, closed.through)
    FROM unnest(CAST(:lanes AS smallint[]), CAST(:sizes AS integer[]), CAST(:through AS bigint[]))
        AS closed (lane, size, through)
    WHERE lanes.lane = closed.lane
    """
)


def read_lanes(session: Session, lanes: Sequence[int]) -> list[LaneState]:
    """Read what is recorded of lanes; call it with their locks held, in a statement before the claim's.

    Order: the lane whose last batch is the longest ago comes first; whoever drains, on whichever host.
    """
    rows = session.execute(_READ_LANES, {"lanes": array_literal(lanes)})
    return [LaneState(lane, size, tuple(unfinished or ()), *others) for lane, size, unfinished, *others in rows]


def claim_events(session: Session, after: Mapping[int, int], *, share: int, size: int, now: datetime) -> Claim:
    """Take the oldest rows of the lanes' queues: the claim is their deletion, which a rollback undoes.

    Units: `share` rows of one lane and `size` rows in all, at most.
    Order: lanes as they are given, with the position to look behind; their rows by position, that is by arrival;
    events by row id, each once. Rows of events that ended otherwise are dropped. Locks: none of its own; the lanes'
    locks make the claim exclusive.
    """
    asked = {"lanes": array_literal(after), "after": array_literal(after.values()), "share": share, "size": size}
    rows = session.execute(_CLAIM, {**asked, "now": now}).all()
    of_lane: dict[int, TakenOfLane] = defaultdict(TakenOfLane, {lane: TakenOfLane() for lane in after})
    events: dict[int, ClaimedEvent] = {}
    for lane, position, is_parked, row_id, *columns in rows:
        taken = of_lane[lane]
        taken.positions += 1
        taken.last_position = max(taken.last_position, position)
        if row_id is None or row_id in events:
            continue
        event = ClaimedEvent(lane, row_id, *columns)
        if is_parked:
            taken.held_keys.add(event.object_key)
        else:
            events[row_id] = event
            taken.row_ids.append(row_id)
    for taken in of_lane.values():
        taken.is_full = taken.positions >= share or len(rows) >= size
    return Claim(list(events.values()), dict(of_lane))


def settled_through(state: LaneState, taken: TakenOfLane) -> int:
    """Say up to which position nothing can be left or appear, once the claim is committed (ADR 0010)."""
    if not state.is_settled:
        return 0
    return min(state.next_through, taken.last_position) if taken.is_full else state.next_through


def record_batch(engine: Engine, notes: Mapping[int, BatchNote], now: datetime) -> None:
    """Note the batch on a connection of its own before it is applied, so that a crash in it leaves a trace.

    The commit does not wait for the disk: the note must outlive this process, not the machine. `next_through` is noted
    with this transaction's number, which is younger than that of everybody who had taken a position up to it.
    """
    with engine.begin() as connection:
        connection.execute(
            _NOTE,
            {
                "lanes": array_literal(notes),
                "ids": array_literal(array_literal(note.row_ids) for note in notes.values()),
                "crashes": array_literal(note.crashes for note in notes.values()),
                "through": array_literal(note.next_through for note in notes.values()),
                "now": now,
            },
        )


def close_batch(session: Session, closings: Mapping[int, Closing]) -> None:
    """Clear the lanes' notes in the transaction that applied the batch (or gave it up)."""
    session.execute(
        _CLOSE,
        {
            "lanes": array_literal(closings),
            "sizes": array_literal(closing.next_size for closing in closings.values()),
            "through": array_literal(closing.taken_through for closing in closings.values()),
        },
    )
