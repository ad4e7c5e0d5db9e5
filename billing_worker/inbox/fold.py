"""Folding: from the events of a batch to one write per object, every event with its own outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from billing_worker.inbox.envelope import ReadEvent
from billing_worker.inbox.order import SecondEvent, arrival_order, last_of_second
from billing_worker.inbox.siblings import (
    Version,
    is_newer_waiting,
    read_second,
    read_state_before,
    read_versions,
)
from billing_worker.mirror.apply import MirrorRow


@dataclass
class Fold:
    """What a batch comes to.

    Shape: `rows` newest row per object, by type; `superseded` and `unproven` row ids; `ambiguous` object keys whose
    order only a fetch can settle, with their second.
    """

    rows: dict[str, list[tuple[ReadEvent, MirrorRow]]] = field(default_factory=lambda: defaultdict(list))
    superseded: set[int] = field(default_factory=set)
    unproven: set[int] = field(default_factory=set)
    ambiguous: dict[str, datetime] = field(default_factory=dict)


def fold_events(session: Session, events: Iterable[ReadEvent], *, by_arrival: frozenset[str]) -> Fold:
    """Find the newest state of each object touched by the events.

    Shape: `by_arrival` are the object keys for which Stripe has no object any more: arrival order stands in.
    """
    fold = Fold()
    by_type: dict[str, dict[tuple[str, str], list[ReadEvent]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        by_type[event.kind.name][event.claimed.account_id, event.claimed.object_id].append(event)
    for object_type, objects in sorted(by_type.items()):
        versions = read_versions(session, object_type, list(objects))
        for identity, group in objects.items():
            _fold_object(session, fold, group, versions.get(identity), by_arrival)
    return fold


def _fold_object(
    session: Session, fold: Fold, group: list[ReadEvent], version: Version | None, by_arrival: frozenset[str]
) -> None:
    newest = max(event.claimed.created for event in group)
    if version is not None and version.version > newest:
        _fold_late(session, fold, group, version, by_arrival)
        return
    candidates = _of_second(group, newest)
    stored: list[SecondEvent] = []
    if version is not None and version.version == newest:
        stored = _others(read_second(session, group[0].kind, group[0].claimed.object_key, newest), group)
        if stored and not candidates[0].happened:
            # A snapshot of ours never supersedes an event of its own second.
            fold.superseded.update(event.claimed.row_id for event in group)
            return
    tied = [event.in_second() for event in candidates] + stored
    _settle(session, fold, group, tied, newest, by_arrival)


def _fold_late(
    session: Session, fold: Fold, group: list[ReadEvent], version: Version, by_arrival: frozenset[str]
) -> None:
    """Supersede late events; the newest second is settled anew, because they may be the state before it."""
    fold.superseded.update(event.claimed.row_id for event in group)
    tied = read_second(session, group[0].kind, group[0].claimed.object_key, version.version)
    if len(tied) > 1:
        _settle(session, fold, group, tied, version.version, by_arrival)


def _settle(
    session: Session,
    fold: Fold,
    group: list[ReadEvent],
    tied: list[SecondEvent],
    second: datetime,
    by_arrival: frozenset[str],
) -> None:
    """Find the last event of the newest second and write its snapshot, or leave the object to a fetch."""
    winner, proven = _winner(session, group[0], tied, second, by_arrival)
    if winner is None and is_newer_waiting(session, group[0].claimed.object_key, second):
        # A newer row, perhaps the answer of a fetch, is stored behind this batch: the second is only passed through.
        fold.superseded.update(event.claimed.row_id for event in group)
        return
    if winner is None:
        fold.ambiguous[group[0].claimed.object_key] = second
        return
    fold.superseded.update(event.claimed.row_id for event in group if event.claimed.row_id != winner.row_id)
    if not proven:
        fold.unproven.update(event.claimed.row_id for event in group if event.claimed.created == second)
    _add_row(fold, group, winner, second, proven=proven)


def _of_second(group: list[ReadEvent], second: datetime) -> list[ReadEvent]:
    """Take the events of the newest second; events of Stripe's go before snapshots of ours."""
    latest = [event for event in group if event.claimed.created == second]
    happened = [event for event in latest if event.happened]
    return happened or latest[-1:]


def _others(stored: list[SecondEvent], group: list[ReadEvent]) -> list[SecondEvent]:
    claimed = {event.claimed.row_id for event in group}
    return [event for event in stored if event.row_id not in claimed]


def _winner(
    session: Session, one: ReadEvent, tied: list[SecondEvent], second: datetime, by_arrival: frozenset[str]
) -> tuple[SecondEvent | None, bool]:
    if len(tied) == 1:
        return tied[0], True
    kind, object_key = one.kind, one.claimed.object_key
    base = read_state_before(session, kind, object_key, second)
    winner = last_of_second(base, tied, kind.progress)
    if winner is not None:
        return winner, True
    return (arrival_order(tied), False) if object_key in by_arrival else (None, False)


def _add_row(fold: Fold, group: list[ReadEvent], winner: SecondEvent, version: datetime, *, proven: bool) -> None:
    event = next((one for one in group if one.claimed.row_id == winner.row_id), group[0])
    kind, claimed = event.kind, event.claimed
    is_claimed = claimed.row_id == winner.row_id
    row = MirrorRow(
        account_id=claimed.account_id,
        object_id=claimed.object_id,
        data=winner.snapshot,
        promoted=event.promoted if is_claimed else kind.promote(winner.snapshot),
        version=version,
        version_row_id=winner.row_id,
        version_event_id=winner.event_id,
        order_unproven=not proven,
        deleted_at=version if winner.ends else None,
        body_at=claimed.received_at if is_claimed and event.as_stored else None,
    )
    fold.rows[kind.name].append((event, row))
