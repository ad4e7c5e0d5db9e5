"""From a stored body to what the drain works with: the envelope read, the snapshot normalised, the columns promoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.json import Decoder

from billing_worker.inbox.claim import ClaimedEvent
from billing_worker.inbox.order import SecondEvent
from billing_worker.inbox.states import HAPPENED
from billing_worker.kernel.events import EventView
from billing_worker.mirror.extract import ShapeError
from billing_worker.mirror.normalise import normalise
from billing_worker.mirror.registry import REGISTRY, ObjectType

_decode = Decoder().decode
"""Reads bodies in half the time of the standard library's, to the same values."""


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """A claimed event whose snapshot has the shape this release understands.

    Shape: `as_stored` says that the snapshot is what stands in the body, no rule having moved anything.
    """

    claimed: ClaimedEvent
    kind: ObjectType
    snapshot: Mapping[str, Any]
    previous: Mapping[str, Any]
    promoted: Mapping[str, Any]
    as_stored: bool

    @property
    def happened(self) -> bool:
        """Say whether this is an event of Stripe's (a fact) rather than a snapshot that we took."""
        return self.claimed.source in HAPPENED

    @property
    def ends(self) -> bool:
        """Say whether the object is gone after this event."""
        return self.claimed.type in self.kind.deleting or self.snapshot.get("deleted") is True

    def in_second(self) -> SecondEvent:
        """Return the view that the order of a second is proved on."""
        claimed = self.claimed
        return second_event(claimed.row_id, claimed.event_id, claimed.type, self.kind, (self.snapshot, self.previous))

    def view(self) -> EventView:
        """Return the view that reactions see."""
        claimed = self.claimed
        return EventView(
            row_id=claimed.row_id,
            account_id=claimed.account_id,
            event_id=claimed.event_id,
            type=claimed.type,
            object_type=claimed.object_type,
            object_id=claimed.object_id,
            object_key=claimed.object_key,
            customer_id=claimed.customer_id,
            created=claimed.created,
            data=self.snapshot,
            previous=self.previous,
        )


def read_event(claimed: ClaimedEvent) -> ReadEvent | None:
    """Read a claimed event; None for a type that is not mirrored.

    Raises: ShapeError, which quarantines the event whatever batch it came in.
    """
    kind = REGISTRY.get(claimed.object_type)
    if kind is None:
        return None
    body, previous = _parse(claimed.body)
    snapshot = normalise(kind.name, body)
    return ReadEvent(claimed, kind, snapshot, previous, kind.promote(snapshot), _is_same(snapshot, body))


def read_body(kind: ObjectType, body: str | bytes) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return snapshot and previous_attributes of a stored body, normalised.

    Raises: ShapeError when the body is not an event with an object in it.
    """
    snapshot, previous = _parse(body)
    return normalise(kind.name, snapshot), previous


def _is_same(snapshot: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    if snapshot is body:
        return True
    return len(snapshot) == len(body) and all(snapshot.get(name) is value for name, value in body.items())


def _parse(body: str | bytes) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        data = _decode(body)["data"]
        snapshot, previous = data["object"], data.get("previous_attributes") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ShapeError("unreadable_body", "data.object is required and absent") from None
    if not isinstance(snapshot, dict) or not isinstance(previous, dict):
        raise ShapeError("unreadable_body", "data.object and previous_attributes must be objects")
    return snapshot, previous


def second_event(
    row_id: int,
    event_id: str,
    event_type: str,
    kind: ObjectType,
    body: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> SecondEvent:
    """Describe an event by what matters for its order inside a second."""
    snapshot, previous = body
    return SecondEvent(
        row_id=row_id,
        event_id=event_id,
        snapshot=snapshot,
        previous=previous,
        starts=event_type.endswith(".created"),
        ends=event_type in kind.deleting or snapshot.get("deleted") is True,
    )
