"""An object's history as it is stored: second by second, each event in its proved place, and the state it comes to.

What the drain computes for the newest second only is computed here for all of them, with the same law.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from billing_worker.inbox.envelope import read_body, second_event
from billing_worker.inbox.order import Proof, SecondEvent, arrival_order, canonical, settle_second
from billing_worker.inbox.states import HAPPENED, EventStatus, Source
from billing_worker.mirror.extract import ShapeError
from billing_worker.mirror.progress import Progress
from billing_worker.mirror.registry import ObjectType

ROWS_AT_A_TIME = 200
"""Bodies are 4 KB at the median: the history of a loud object is folded in a few megabytes."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One stored event or snapshot.

    Shape: `event` is None where the body is pruned or cannot be read, then `fault` says which.
    """

    row_id: int
    event_id: str
    type: str
    source: Source
    created: datetime
    received_at: datetime
    status: EventStatus
    superseded: bool
    order_unproven: bool
    event: SecondEvent | None
    fault: str

    @property
    def counts(self) -> bool:
        """Say whether the row is part of what the object's state is made of."""
        return self.status is EventStatus.APPLIED and self.event is not None


@dataclass(frozen=True, slots=True)
class Placed:
    """A row in its place; `proof` None where nothing proves it (or nothing has to: it does not count)."""

    row: StoredRow
    proof: Proof | None


@dataclass(frozen=True, slots=True)
class State:
    """The state an object has after a second, and the row it comes from."""

    snapshot: Mapping[str, Any]
    version: datetime
    row: StoredRow
    deleted: bool
    proven: bool


@dataclass(frozen=True, slots=True)
class SettledSecond:
    """One second of an object's history; `state` is None as long as nothing that counts has happened."""

    at: datetime
    rows: tuple[Placed, ...]
    state: State | None


_ROWS = text(
    """
    SELECT e.id, e.event_id, e.type, e.source, e.created, e.received_at, e.status, e.superseded, e.order_unproven,
           p.body
    FROM billing.billing_webhook_events e
    LEFT JOIN billing.billing_webhook_payloads p ON p.event_row_id = e.id AND p.received_at = e.received_at
    WHERE e.object_key = :key
    ORDER BY e.created, e.id
    """
)


def fold_history(session: Session, kind: ObjectType, object_key: str) -> Iterator[SettledSecond]:
    """Fold everything that is stored of an object, oldest second first.

    Order: events of Stripe's go before snapshots of ours that claim the same second, as in the drain.
    """
    rows = session.execute(_ROWS, {"key": object_key}, execution_options={"yield_per": ROWS_AT_A_TIME})
    stored = (_read_row(kind, row) for row in rows.mappings())
    state: State | None = None
    base: Mapping[str, Any] | None = None
    for at, group in groupby(stored, key=lambda row: row.created):
        second = list(group)
        happened = [row for row in second if row.counts and row.source in HAPPENED]
        taken = [row for row in second if row.counts and row.source not in HAPPENED]
        placed: list[tuple[StoredRow, Proof | None]] = []
        if happened:
            placed = place_events(base, happened, kind.progress)
            state = _state_after(placed, at)
            base = state.snapshot if state.proven else None
        elif taken:
            state = _state(taken[-1], at, proven=True)
        others = [Placed(row, None) for row in second if row not in happened]
        yield SettledSecond(at, (*others, *(Placed(row, proof) for row, proof in placed)), state)


def place_events(
    base: Mapping[str, Any] | None, rows: Sequence[StoredRow], progress: Progress
) -> list[tuple[StoredRow, Proof | None]]:
    """Put the events of one second into their order, each with what proves its place.

    Shape: the last one is taken away and the rest is asked again for its last one, so that the very rule which finds
    the second's last event also tells the places before it. What nothing proves comes first, by arrival.
    """
    left = {row.row_id: row for row in rows}
    placed: list[tuple[StoredRow, Proof | None]] = []
    while left:
        events = [row.event for row in left.values() if row.event is not None]
        settled = settle_second(base, events, progress)
        if settled is None:
            first = arrival_order(events)
            placed += [(left.pop(first.row_id), None), *((row, None) for row in reversed(left.values()))]
            break
        last, proof = settled
        if len(left) == 1 and placed:
            proof = placed[-1][1] or proof
        placed.append((left.pop(last.row_id), proof))
        repeats = [event for event in events if event is not last and _repeats(event, last)]
        placed += [(left.pop(event.row_id), Proof.EQUAL) for event in reversed(repeats)]
    return placed[::-1]


def _repeats(event: SecondEvent, other: SecondEvent) -> bool:
    tells_nothing = not (event.previous or event.starts or event.ends)
    return tells_nothing and canonical(event.snapshot) == canonical(other.snapshot)


def _state_after(placed: Sequence[tuple[StoredRow, Proof | None]], at: datetime) -> State:
    row, proof = placed[-1]
    return _state(row, at, proven=proof is not None)


def _state(row: StoredRow, at: datetime, *, proven: bool) -> State:
    if row.event is None:
        raise AssertionError("a row without a body counts for nothing")
    return State(row.event.snapshot, at, row, deleted=row.event.ends, proven=proven)


def _read_row(kind: ObjectType, row: RowMapping) -> StoredRow:
    event, fault = None, ""
    if row["body"] is None:
        fault = "pruned"
    else:
        try:
            body = read_body(kind, bytes(row["body"]))
            event = second_event(row["id"], row["event_id"], row["type"], kind, body)
        except ShapeError as error:
            fault = error.reason
    return StoredRow(
        row_id=row["id"],
        event_id=row["event_id"],
        type=row["type"],
        source=Source(row["source"]),
        created=row["created"],
        received_at=row["received_at"],
        status=EventStatus(row["status"]),
        superseded=row["superseded"],
        order_unproven=row["order_unproven"],
        event=event,
        fault=fault,
    )
