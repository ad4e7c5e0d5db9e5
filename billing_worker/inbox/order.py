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
"""Chains longer than this are not searched: the work doubles with each event, and Stripe writes a handful a second."""


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
        if (snapshot := canonical(event.snapshot)) not in known:
            known.add(snapshot)
            telling.append(event)
    return telling


def _last_of_chain(base: Mapping[str, Any] | None, events: Sequence[SecondEvent]) -> SecondEvent | None:
    """Follow previous_attributes from the known start through every event; a proof needs all paths to end alike."""
    starting = [event for event in events if event.starts]
    if len(events) > MAX_CHAIN or len(starting) > 1:
        return None
    rest = [event for event in events if not event.starts]
    if starting:
        ends = _ends(starting[0].snapshot, rest) if rest else starting
    elif base is not None:
        ends = _ends(base, rest)
    else:
        return None
    states = {canonical(event.snapshot): event for event in sorted(ends, key=lambda event: -event.row_id)}
    return next(iter(states.values())) if len(states) == 1 else None


def _ends(start: Mapping[str, Any], events: Sequence[SecondEvent]) -> list[SecondEvent]:
    """Find every event with which a path from the start through all events can end.

    Shape: sets of events are the bits of a number; `ends[taken]` are the last ones of the paths through just those.
    Source: Held and Karp 1962. Trying the paths one by one takes hours where many of them are possible.
    """
    after_start = sum(1 << place for place, event in enumerate(events) if _follows(start, event))
    after = [
        sum(1 << place for place, event in enumerate(events) if _follows(earlier.snapshot, event)) for earlier in events
    ]
    everything = (1 << len(events)) - 1
    ends = [0] * (everything + 1)
    for place in range(len(events)):
        ends[1 << place] = after_start & (1 << place)
    for taken in range(1, everything):
        for place, following in enumerate(after):
            if ends[taken] >> place & 1:
                free = following & ~taken
                while free:
                    one = free & -free
                    ends[taken | one] |= one
                    free ^= one
    return [event for place, event in enumerate(events) if ends[everything] >> place & 1]


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
    furthest = measured[0]
    for one in measured:
        if is_later(one[0], furthest[0]):
            furthest = one
    is_proven = all(one is furthest or is_later(furthest[0], one[0]) for one in measured)
    return furthest[1] if is_proven else None
