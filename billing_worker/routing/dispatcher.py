"""Look reactions up in the tables and call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from billing_worker.kernel.events import DirtyDraft, EffectDraft, EventView, Snapshot

Fact = Callable[[EventView], list[EffectDraft]]
Level = Callable[[Snapshot], list[DirtyDraft]]


@dataclass(frozen=True)
class Dispatcher:
    """The reactions of this release: facts by event type, levels by object type."""

    facts: Mapping[str, Sequence[Fact]]
    levels: Mapping[str, Sequence[Level]]

    def on_fact(self, event: EventView) -> list[EffectDraft]:
        """Collect the effects of something that happened."""
        return [draft for react in self.facts.get(event.type, ()) for draft in react(event)]

    def on_level(self, snapshot: Snapshot) -> list[DirtyDraft]:
        """Collect the marks that an object's newest row calls for."""
        return [mark for react in self.levels.get(snapshot.object_type, ()) for mark in react(snapshot)]
