"""Tell in which order an object's events stand, and what proves each place."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.inbox.history import Placed, SettledSecond, fold_history
from billing_worker.inbox.objects import mirrored_type
from billing_worker.inbox.states import HAPPENED, EventStatus, Source

WAITS = "waits"
LEFT_OUT = "left_out"
PRUNED = "pruned"
SNAPSHOT = "snapshot"
FETCH = "fetch"
ARRIVAL = "arrival"
PASSED = "passed"
"""Nothing proves the place and nothing has to: a newer second followed before anybody needed it."""


@dataclass(frozen=True, slots=True)
class OrderedEvent:
    """One event in its place.

    Shape: `position` counts in the proved order, `arrival` in the order of arrival; `decided_by` is alone, ends, equal,
    chain or progress where the events themselves prove it, snapshot for what we took from Stripe, fetch or arrival
    where they do not, passed where nobody had to know, and waits, left_out or pruned for what takes no part.
    """

    position: int
    arrival: int
    created: datetime
    received: datetime
    event_id: str
    type: str
    source: Source
    status: EventStatus
    decided_by: str
    superseded: bool
    is_state: bool


def describe_order(session: Session, object_key: str, *, limit: int) -> list[OrderedEvent]:
    """Fold an object's history and return its newest events in their order, the oldest first.

    Raises: NotFoundError when nothing is stored, NotMirroredError.
    """
    kind = mirrored_type(object_key)
    newest: deque[tuple[int, Placed]] = deque(maxlen=limit)
    last_fetch, count, state_row = None, 0, None
    by_arrival: list[int] = []
    for second in fold_history(session, kind, object_key):
        for placed in second.rows:
            count += 1
            newest.append((count, placed))
            by_arrival.append(placed.row.row_id)
        last_fetch = _fetched_at(second) or last_fetch
        state_row = second.state.row.row_id if second.state is not None else state_row
    ranks = {row_id: rank for rank, row_id in enumerate(sorted(by_arrival), start=1)}
    described = [_describe(position, placed, ranks[placed.row.row_id], last_fetch) for position, placed in newest]
    ids = [placed.row.row_id for _, placed in newest]
    return [replace(one, is_state=row_id == state_row) for one, row_id in zip(described, ids, strict=True)]


def _fetched_at(second: SettledSecond) -> datetime | None:
    return second.at if any(one.row.source is Source.FETCH and one.row.counts for one in second.rows) else None


def _describe(position: int, placed: Placed, arrival: int, last_fetch: datetime | None) -> OrderedEvent:
    row = placed.row
    return OrderedEvent(
        position=position,
        arrival=arrival,
        created=row.created,
        received=row.received_at,
        event_id=row.event_id,
        type=row.type,
        source=row.source,
        status=row.status,
        decided_by=_decided_by(placed, last_fetch),
        superseded=row.superseded,
        is_state=False,
    )


def _decided_by(placed: Placed, last_fetch: datetime | None) -> str:
    row = placed.row
    if row.status is EventStatus.PENDING:
        return WAITS
    if not row.counts:
        return PRUNED if row.fault == PRUNED else LEFT_OUT
    if row.source not in HAPPENED:
        return SNAPSHOT
    if placed.proof is not None:
        return placed.proof.value
    unproven = FETCH if last_fetch is not None and last_fetch > row.created else PASSED
    return ARRIVAL if row.order_unproven else unproven
