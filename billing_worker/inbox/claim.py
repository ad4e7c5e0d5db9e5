"""Claiming: which events of a lane are taken next, and the record of the batch under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session


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
    body: bytes


@dataclass(frozen=True, slots=True)
class LaneState:
    """What the last consumer of a lane left behind; `unfinished` is set only if it died."""

    batch_size: int
    unfinished: tuple[int, ...]
    crashes: int


_CLAIM = text(
    """
    SELECT e.id AS row_id, e.account_id, e.event_id, e.type, e.source, e.object_type, e.object_id, e.object_key,
           e.customer_id, e.created, e.received_at, e.attempts, coalesce(p.body, '') AS body
    FROM (
        SELECT * FROM billing.billing_webhook_events pending
        WHERE pending.status = 'pending' AND pending.lane = :lane
          AND (pending.next_attempt_at IS NULL OR pending.next_attempt_at <= :now)
          AND NOT EXISTS (
              SELECT 1 FROM billing.billing_parked_objects parked
              WHERE parked.object_key = pending.object_key
                AND (parked.parked_until > :now OR parked.waits_for = 'fetch')
          )
        ORDER BY pending.id
        LIMIT :size
    ) e
    LEFT JOIN billing.billing_webhook_payloads p ON p.event_row_id = e.id AND p.received_at = e.received_at
    ORDER BY e.id
    """
)

_DUE = text(
    """
    SELECT EXISTS (
        SELECT 1 FROM billing.billing_webhook_events pending
        WHERE pending.status = 'pending' AND pending.lane = :lane
          AND (pending.next_attempt_at IS NULL OR pending.next_attempt_at <= :now)
          AND NOT EXISTS (
              SELECT 1 FROM billing.billing_parked_objects parked
              WHERE parked.object_key = pending.object_key
                AND (parked.parked_until > :now OR parked.waits_for = 'fetch')
          )
    )
    """
)


def read_lane(session: Session, lane: int) -> LaneState:
    """Read what is recorded of a lane; call it with the lane's lock held."""
    size, unfinished, crashes = session.execute(
        text("SELECT batch_size, batch_row_ids, crashes FROM billing.billing_lanes WHERE lane = :lane"), {"lane": lane}
    ).one()
    return LaneState(size, tuple(unfinished or ()), crashes)


def claim_events(session: Session, lane: int, *, size: int, now: datetime) -> list[ClaimedEvent]:
    """Take the oldest due events of a lane whose objects are not parked.

    Order: by row id, that is by arrival. Locks: none of its own; the lane's lock makes the claim exclusive.
    """
    rows = session.execute(_CLAIM, {"lane": lane, "size": size, "now": now})
    return [ClaimedEvent(**{**row, "body": bytes(row["body"])}) for row in rows.mappings()]


def is_lane_due(session: Session, lane: int, now: datetime) -> bool:
    """Say whether a drain of the lane would find something."""
    return bool(session.execute(_DUE, {"lane": lane, "now": now}).scalar_one())


def record_batch(engine: Engine, lane: int, row_ids: Sequence[int], now: datetime, *, crashes: int) -> None:
    """Note the batch on a connection of its own before it is applied, so that a crash in it leaves a trace.

    The commit does not wait for the disk: the note must outlive this process, not the machine.
    """
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL synchronous_commit = off"))
        connection.execute(
            text(
                "UPDATE billing.billing_lanes SET batch_row_ids = :ids, batch_started_at = :now, crashes = :crashes "
                "WHERE lane = :lane"
            ),
            {"ids": list(row_ids), "now": now, "lane": lane, "crashes": crashes},
        )


def close_batch(session: Session, lane: int, *, next_size: int) -> None:
    """Clear the note in the transaction that applied the batch (or gave it up)."""
    session.execute(
        text(
            "UPDATE billing.billing_lanes SET batch_row_ids = NULL, batch_started_at = NULL, crashes = 0, "
            "batch_size = :size WHERE lane = :lane"
        ),
        {"size": next_size, "lane": lane},
    )
