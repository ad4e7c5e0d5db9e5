"""The account's events, kept as compressed bodies: a month of a small shop is a hundred thousand of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from billing_worker.sandbox.core.documents import Document

RETENTION_SECONDS = 30 * 86_400
"""Source: Stripe documentation, “List all events”: events of the last 30 days."""


@dataclass(slots=True)
class StoredEvent:
    """One event and who still waits for it."""

    sequence: int
    event_id: str
    type: str
    created: int
    packed: bytes
    endpoint_ids: tuple[str, ...]
    undelivered: set[str]

    def body(self) -> bytes:
        """Give the JSON that deliveries carry."""
        return zlib.decompress(self.packed)

    def document(self) -> Document:
        """Give the event as a document."""
        document: Document = json.loads(self.body())
        return document


class EventLog:
    """Events in the order in which they happened. Not locked: the world's lock guards it."""

    def __init__(self) -> None:
        self._events: dict[str, StoredEvent] = {}
        self._sequence = 0

    def append(self, document: Document, endpoint_ids: tuple[str, ...], undelivered: set[str]) -> StoredEvent:
        """Keep an event."""
        self._sequence += 1
        body = json.dumps(document, indent=2).encode()
        stored = StoredEvent(
            sequence=self._sequence,
            event_id=document["id"],
            type=document["type"],
            created=document["created"],
            packed=zlib.compress(body, 1),
            endpoint_ids=endpoint_ids,
            undelivered=undelivered,
        )
        self._events[stored.event_id] = stored
        return stored

    def find(self, event_id: str) -> StoredEvent | None:
        """Return an event, or None when there is none or it is too old."""
        return self._events.get(event_id)

    def newest_first(self) -> Iterator[StoredEvent]:
        """Walk the events from the newest."""
        return iter(reversed(self._events.values()))

    def all(self) -> Iterator[StoredEvent]:
        """Walk the events from the oldest."""
        return iter(self._events.values())

    def prune(self, now: int) -> list[str]:
        """Forget events that left the retention and that nobody waits for."""
        gone = []
        for event in self._events.values():
            if event.created >= now - RETENTION_SECONDS:
                break
            if not event.undelivered:
                gone.append(event.event_id)
        for event_id in gone:
            del self._events[event_id]
        return gone

    @property
    def total(self) -> int:
        """Count every event that ever was."""
        return self._sequence

    def restore_total(self, total: int) -> None:
        """Continue counting where an earlier process stopped."""
        self._sequence = max(self._sequence, total)
