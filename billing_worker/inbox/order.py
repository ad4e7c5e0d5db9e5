"""The order of events inside one second of one object (ARCHITECTURE §3, “Order inside an object”).

Only the last event of a second matters to the mirror, so `last_of_second` looks for a proof of which one it is:
equal snapshots, a chain of `previous_attributes` from a known start, monotone progress. Without a proof the caller
fetches the object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from billing_worker.mirror.progress import Progress, is_later

MAX_CHAIN = 12
"""Chains longer than this are not searched: the paths grow fast and Stripe writes a handful of events a second."""


@dataclass(frozen=True)
class SecondEvent:
    """One event among those of the same second; `starts` for creations, `ends` for deletions."""

    row_id: int
    event_id: str
    snapshot: Mapping[str, Any]
    previous: Mapping[str, Any]
    starts: bool
    ends: bool


class Proof(StrEnum):
    """What proves which event of a second is its last."""

    ALONE = "alone"
    ENDS = "ends"
    EQUAL = "equal"
    CHAIN = "chain"
    PROGRESS = "progress"


def last_of_second(
    base: Mapping[str, Any] | None, events: Sequence[SecondEvent], progress: Progress
) -> SecondEvent | None:
    """Find the event whose snapshot is the object's state after the second, or None when nothing proves it."""
    settled = settle_second(base, events, progress)
    return None if settled is None else settled[0]


def settle_second(
    base: Mapping[str, Any] | None, events: Sequence[SecondEvent], progress: Progress
) -> tuple[SecondEvent, Proof] | None:
    """Find the last event of a second together with its proof.

    Order: the result does not depend on the order of `events`; among equal snapshots the lowest row id stands for all.
    """
    candidates = _transitions(events)
    ended = [event for event in candidates if event.ends]
    if ended:
        return ended[-1], Proof.ENDS
    if len({canonical(event.snapshot) for event in candidates}) == 1:
        return candidates[0], Proof.ALONE if len(events) == 1 else Proof.EQUAL
    if (last := _last_of_chain(base, candidates)) is not None:
        return last, Proof.CHAIN
    furthest = _furthest(candidates, progress)
    return None if furthest is None else (furthest, Proof.PROGRESS)


def arrival_order(events: Sequence[SecondEvent]) -> SecondEvent:
    """Take the event that arrived last: used, and marked `order_unproven`, where Stripe no longer has the object."""
    return max(events, key=lambda event: (event.ends, event.row_id))


def canonical(snapshot: Any) -> str:  # noqa: ANN401 - JSON
    """Write a snapshot so that null equals absent and key order does not matter."""
    return json.dumps(_without_nulls(snapshot), sort_keys=True, separators=(",", ":"))


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value


def _transitions(events: Sequence[SecondEvent]) -> list[SecondEvent]:
    """Drop the events that only repeat a snapshot: they say nothing about how it came to be."""
    ordered = sorted(events, key=lambda event: event.row_id)
    telling = [event for event in ordered if event.previous or event.starts or event.ends]
    known = {canonical(event.snapshot) for event in telling}
    for event in ordered:
        if event not in telling and canonical(event.snapshot) not in known:
            known.add(canonical(event.snapshot))
            telling.append(event)
    return telling


def _last_of_chain(base: Mapping[str, Any] | None, events: Sequence[SecondEvent]) -> SecondEvent | None:
    """Follow previous_attributes from the known start through every event; a proof needs all paths to end alike."""
    starting = [event for event in events if event.starts]
    if len(events) > MAX_CHAIN or len(starting) > 1:
        return None
    if starting:
        ends = _ends(starting[0].snapshot, [event for event in events if event is not starting[0]], starting[0])
    elif base is not None:
        ends = _ends(base, list(events), None)
    else:
        return None
    states = {canonical(event.snapshot): event for event in sorted(ends, key=lambda event: -event.row_id)}
    return next(iter(states.values())) if len(states) == 1 else None


def _ends(state: Mapping[str, Any], remaining: Sequence[SecondEvent], last: SecondEvent | None) -> list[SecondEvent]:
    if not remaining:
        return [last] if last is not None else []
    ends: list[SecondEvent] = []
    tried: set[str] = set()
    for event in remaining:
        transition = canonical([event.previous, event.snapshot])
        if transition not in tried and _follows(state, event):
            # Equal transitions are interchangeable: one of them stands for all, which keeps the search short.
            tried.add(transition)
            rest = [other for other in remaining if other is not event]
            ends.extend(_ends(event.snapshot, rest, event))
    return ends


def _follows(state: Mapping[str, Any], event: SecondEvent) -> bool:
    """Say whether an event can come right after a state: what it calls previous is what stands there."""
    if not event.previous:
        return canonical(state) == canonical(event.snapshot)
    return _agrees(state, event.previous)


def _agrees(state: Any, previous: Any) -> bool:  # noqa: ANN401 - JSON
    """Compare key by key in nested hashes, null as absent, arrays as wholes."""
    if isinstance(previous, Mapping) and isinstance(state, Mapping):
        return all(_agrees(state.get(key), value) for key, value in previous.items())
    return canonical({"v": state}) == canonical({"v": previous})


def _furthest(events: Sequence[SecondEvent], progress: Progress) -> SecondEvent | None:
    """Find the event that is provably later than every other by monotone progress."""
    measured = [(progress(event.snapshot), event) for event in events]
    for measure, event in measured:
        if all(other is event or is_later(measure, theirs) for theirs, other in measured):
            return event
    return None
