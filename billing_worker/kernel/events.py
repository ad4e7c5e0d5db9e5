"""What the drain hands to reactions, and what reactions hand back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class EventView:
    """One stored event as a reaction sees it: already normalised to the pinned API version.

    Shape: `data` is the object's snapshot, `previous` its `previous_attributes` (empty when there are none).
    """

    row_id: int
    account_id: str
    event_id: str
    type: str
    object_type: str
    object_id: str
    object_key: str
    customer_id: str | None
    created: datetime
    data: Mapping[str, Any]
    previous: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest row of an object after a drain: what level reactions are a function of."""

    account_id: str
    object_type: str
    object_id: str
    customer_id: str | None
    version: datetime
    data: Mapping[str, Any]
    deleted: bool = False


@dataclass(frozen=True, slots=True, order=True)
class EffectDraft:
    """An effect that a fact calls for: one row per key, for ever.

    Idempotent by: `key` = Stripe ids + occurrence, never a serial and never the object alone.
    """

    key: str
    kind: str
    object_key: str = field(compare=False)
    customer_id: str | None = field(compare=False)
    payload: Mapping[str, Any] = field(compare=False, default_factory=dict)
    not_after: datetime | None = field(compare=False, default=None)


@dataclass(frozen=True, slots=True, order=True)
class DirtyDraft:
    """A note that a subject's derived state (access, plan) must be recomputed."""

    kind: str
    subject_id: str


class Reactions(Protocol):
    """What the drain calls for each event and each changed object; built in `routing`, handed over by `app`."""

    def on_fact(self, event: EventView) -> list[EffectDraft]:
        """Return the effects of something that happened, for late and superseded events too."""
        ...

    def on_level(self, snapshot: Snapshot) -> list[DirtyDraft]:
        """Return the marks that the newest row of an object calls for."""
        ...
