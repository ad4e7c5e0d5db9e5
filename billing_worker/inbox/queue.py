"""The lanes' queue: what is due, what is taken out of it while its object is parked, and how that comes back.

Shape: an event that is `pending` is in the queue, or its object is held and the event lies behind the held mark. Rows
come into the queue by triggers on the events, whoever stores or re-arms one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.arrays import array_literal
from billing_worker.database.locks import LockClass

RELEASE = 500
"""Events put back at a time: as many as a batch, so that a parked flood neither fills nor empties the lane at once."""

WAITING = """
    SELECT queue.event_row_id FROM billing.billing_webhook_queue queue
    UNION
    SELECT event.id FROM billing.billing_held_objects held
    JOIN billing.billing_webhook_events event USING (object_key) WHERE event.status = 'pending'
"""
"""The row ids of all events that are `pending`; the queue may also hold a few that no longer are."""

_RELEASABLE = """
    SELECT held.object_key, held.after_created, held.after_id FROM billing.billing_held_objects held
    WHERE held.lane = lanes.lane AND NOT EXISTS (
        SELECT 1 FROM billing.billing_parked_objects parked
        WHERE parked.object_key = held.object_key AND (parked.parked_until > :now OR parked.waits_for = 'fetch')
    )
"""

_DUE = f"""
    SELECT lanes.lane FROM billing.billing_lanes lanes
    WHERE EXISTS (
        SELECT 1 FROM billing.billing_webhook_queue queue
        WHERE queue.lane = lanes.lane AND queue.position > lanes.taken_through
    ) OR EXISTS ({_RELEASABLE})
"""  # noqa: S608 - constants of this module

_DUE_LANES = text(f"{_DUE} ORDER BY lanes.lane")
_DUE_OF = f"SELECT lane FROM ({_DUE}) due WHERE due.lane = ANY(CAST(:lanes AS smallint[]))"  # noqa: S608 - as above
_IS_DUE = text(f"SELECT EXISTS ({_DUE_OF})")
_LOCK_DUE = text(
    f"WITH found AS MATERIALIZED ({_DUE_OF}) "  # noqa: S608 - as above
    "SELECT lane, pg_try_advisory_xact_lock(:lock_class, lane) FROM found"
)
_ONE_RELEASABLE = text(f"{_RELEASABLE.replace('lanes.lane', ':lane')} ORDER BY held.object_key LIMIT 1")

_HOLD = text(
    """
    INSERT INTO billing.billing_held_objects (object_key, lane)
    SELECT DISTINCT held.key, CAST(:lane AS smallint) FROM unnest(CAST(:keys AS text[])) AS held (key) ORDER BY 1
    ON CONFLICT (object_key) DO UPDATE SET after_created = NULL, after_id = NULL
    """
)

_REQUEUE = text(
    """
    WITH released AS MATERIALIZED (
        SELECT id, created FROM billing.billing_webhook_events
        WHERE object_key = :key AND status = 'pending'
          AND (CAST(:after_id AS bigint) IS NULL OR (created, id) > (:after_created, :after_id))
        ORDER BY created, id
        LIMIT :size
    ), queued AS (
        INSERT INTO billing.billing_webhook_queue (lane, event_row_id)
        SELECT :lane, id FROM released ORDER BY created, id
    )
    SELECT id, created FROM released ORDER BY created, id
    """
)


def list_due_lanes(session: Session, now: datetime) -> list[int]:
    """Return the lanes in which a drain would find something."""
    return list(session.execute(_DUE_LANES, {"now": now}).scalars())


def is_any_due(session: Session, lanes: Sequence[int], now: datetime) -> bool:
    """Say whether a drain of the lanes would find something."""
    return bool(session.execute(_IS_DUE, {"lanes": array_literal(lanes), "now": now}).scalar_one())


def lock_due_lanes(session: Session, lanes: Sequence[int], now: datetime) -> tuple[list[int], bool]:
    """Lock those of the lanes that are due until the transaction ends; say also whether somebody has one of them.

    What is due was read before the lock: the claim has to look again, in a statement of its own.
    """
    asked = {"lanes": array_literal(lanes), "now": now, "lock_class": int(LockClass.LANE)}
    found = session.execute(_LOCK_DUE, asked).all()
    locked = [lane for lane, is_locked in found if is_locked]
    return locked, len(locked) < len(found)


def hold_objects(session: Session, lane: int, object_keys: Collection[str]) -> None:
    """Note objects whose claimed events were not applied, so that the events come back when nothing parks them.

    Idempotent by: object; a second note starts the release from the first event anew.
    """
    if object_keys:
        session.execute(_HOLD, {"keys": sorted(object_keys), "lane": lane})


def release_held(session: Session, lane: int, now: datetime) -> int:
    """Put the next events of one object that is no longer parked back into the queue, and return how many.

    Order: by Stripe's time. An event that arrived meanwhile may be in the queue twice; the claim takes it once.
    """
    held = session.execute(_ONE_RELEASABLE, {"lane": lane, "now": now}).one_or_none()
    if held is None:
        return 0
    key, after_created, after_id = held
    mark = {"key": key, "after_created": after_created, "after_id": after_id}
    released = session.execute(_REQUEUE, {**mark, "lane": lane, "size": RELEASE}).all()
    if len(released) < RELEASE:
        session.execute(text("DELETE FROM billing.billing_held_objects WHERE object_key = :key"), {"key": key})
    else:
        session.execute(
            text(
                "UPDATE billing.billing_held_objects SET after_created = :created, after_id = :id "
                "WHERE object_key = :key"
            ),
            {"key": key, "created": released[-1].created, "id": released[-1].id},
        )
    return len(released)
